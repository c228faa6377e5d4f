"""Cut the part to segment out of the array of an image layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io import scale_to_unit

__all__ = ["Cut", "LayerImage", "Use", "cut_layer", "list_uses"]

Use = Literal["image", "slice", "channels", "volume"]
"""What to segment: the layer as one picture; the slice that is shown; the layer as one picture
whose first axis is its colours; or all slices along the last three axes."""

_COLORS = 3  # channels that the network sees


@dataclass(frozen=True, eq=False)
class LayerImage:
    """What the plugin knows about an image layer.

    Attributes:
      name: name of the layer.
      values: array of any kind that NumPy can read: (..., H, W), or (..., H, W, 3 or 4) colours.
      is_color: whether the last axis of ``values`` is colours.
      step: index that the viewer shows along each axis, without that of the colours.
      window: values to show as black and white, or None for those of the command.
      pixel_size: millimetres between pixels along each axis, NaN along axes that are no lengths; or
        None.
      path: file or folder that the layer was read from, or None.
    """

    name: str
    values: Any
    is_color: bool
    step: tuple[int, ...]
    window: tuple[float, float] | None = None
    pixel_size: tuple[float, ...] | None = None
    path: str | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis, without that of the colours."""
        shape = tuple(int(side) for side in self.values.shape)
        return shape[:-1] if self.is_color else shape


@dataclass(frozen=True, eq=False)
class Cut:
    """The part of a layer that is segmented.

    Attributes:
      name: name of the layer.
      values: (H, W) or (H, W, 3 or 4) picture, or (Z, H, W) or (Z, H, W, 3) volume.
      use: how the layer is used.
      leading: index of the part along the axes of the layer before its own; empty if the axes
        before are the channels of the picture.
      window: values to show as black and white, or None.
      pixel_size: millimetres between pixels along each axis of the part, or None.
      path: file or folder that a volume was read from, or None.
    """

    name: str
    values: np.ndarray
    use: Use
    leading: tuple[int, ...] = ()
    window: tuple[float, float] | None = None
    pixel_size: tuple[float, ...] | None = None
    path: str | None = None

    @property
    def is_volume(self) -> bool:
        """Whether the part is a volume."""
        return self.use == "volume"

    def expand(self, part: np.ndarray) -> np.ndarray:
        """Add the leading axes, of length 1, to a map of the part."""
        return part[(None,) * len(self.leading)]

    def shrink(self, data: np.ndarray) -> np.ndarray:
        """Return the map of the part in an array that :meth:`expand` made."""
        return np.asarray(data)[(0,) * len(self.leading)]


def list_uses(shape: Sequence[int], is_color: bool) -> list[Use]:
    """List the ways in which a layer can be segmented, the most likely one first.

    Args:
      shape: size along each axis, without that of the colours.
      is_color: whether the layer has colours.

    Returns:
      The uses; empty if the layer is less than a picture.
    """
    if len(shape) < 2:
        return []
    if len(shape) == 2:
        return ["image"]
    uses: list[Use] = ["volume", "slice"]
    if len(shape) == 3 and not is_color:
        # Stacks of two or three slices are rare, and microscopes store channels like this.
        few = 2 <= shape[0] <= _COLORS
        return ["channels", *uses] if few else [*uses, "channels"]
    return uses


def cut_layer(layer: LayerImage, use: Use) -> Cut:
    """Cut out what ``use`` names.

    Args:
      layer: the layer.
      use: one of :func:`list_uses`.

    Raises:
      InputError: the layer can't be used like this.
    """
    shape, uses = layer.shape, list_uses(layer.shape, layer.is_color)
    if use not in get_args(Use) or use not in uses:
        axes = "×".join(map(str, shape))
        advice = f"choose {' or '.join(uses)}" if uses else "it needs rows and columns"
        raise InputError(
            f"{layer.name} has {axes} pixels and can't be segmented as {use}: {advice}."
        )
    if use == "channels":
        colors = _join_channels(layer)
        return Cut(layer.name, colors, use, pixel_size=_get_last(layer.pixel_size, 2))
    own = 3 if use == "volume" else 2
    leading = layer.step[: len(shape) - own]
    values = np.asarray(layer.values[leading] if leading else layer.values)
    if use == "volume" and layer.is_color:
        values = _make_colors(values, layer.name)[..., :_COLORS]
    elif layer.is_color and values.dtype.kind == "f" and values.shape[-1] > _COLORS:
        values = _make_colors(values, layer.name)  # opacity, which pictures of floats can't have
    size = _get_last(layer.pixel_size, own)
    path = layer.path if use == "volume" else None
    return Cut(layer.name, values, use, leading, layer.window, size, path)


def _join_channels(layer: LayerImage) -> np.ndarray:
    """Make colours, (H, W) or (H, W, 3), of channels, each scaled between its own percentiles.

    Fluorescence channels differ in brightness by orders of magnitude, so one window for all would
    hide the dark ones.
    """
    count = layer.shape[0]
    if count > _COLORS:
        raise InputError(
            f"{layer.name} has {count} channels, and a picture has at most {_COLORS}: choose slice "
            "for one channel, or delete the others."
        )
    channels = [np.asarray(layer.values[n]) for n in range(count)]
    if any(channel.dtype != np.uint8 for channel in channels):
        channels = [scale_to_unit(one, layer.name, layer.window)[0] for one in channels]
    if count == 1:
        return channels[0]
    missing = [np.zeros_like(channels[0])] * (_COLORS - count)
    return np.stack([*channels, *missing], -1)


def _make_colors(values: np.ndarray, name: str) -> np.ndarray:
    """Return colours as uint8; those of floats are in [0, 1] in a layer."""
    if values.dtype == np.uint8:
        return values
    return np.round(scale_to_unit(values, name)[0] * 255).astype(np.uint8)


def _get_last(size: tuple[float, ...] | None, count: int) -> tuple[float, ...] | None:
    """Return the lengths along the last axes, or None if one is unknown."""
    last = () if size is None else size[-count:]
    return last if last and all(map(math.isfinite, last)) else None
