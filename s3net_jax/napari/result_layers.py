"""Read image layers of the viewer, and show results as layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from napari.layers import Image, Labels  # pyright: ignore[reportMissingImports]
from napari.utils.colormaps import DirectLabelColormap  # pyright: ignore[reportMissingImports]
from napari.utils.transforms import Affine  # pyright: ignore[reportMissingImports]

from s3net_jax.io import OUTLINE, make_cluster_colors
from s3net_jax.napari.session import INSIDE, OUTSIDE, Session
from s3net_jax.napari.source import Cut, LayerImage

__all__ = ["ResultLayers", "list_images", "read_layer"]

_OPACITY = 0.4
"""Opacity of the clusters: both the colours and the image below are seen. Chosen by eye."""

_BRUSH = 0.02
"""Width of the brush for marks as a fraction of the longest side. Chosen by eye."""

_INSIDE_COLOR, _OUTSIDE_COLOR = (0, 1, 0, 1), (1, 0, 0, 1)
"""Colours of marks, as in the pictures that ``s3net retarget --marks`` reads."""


def list_images(viewer: Any) -> list[Any]:
    """List the image layers of a viewer."""
    return [layer for layer in viewer.layers if isinstance(layer, Image)]


def read_layer(layer: Any, viewer: Any, limits: bool = False) -> LayerImage:
    """Describe an image layer.

    Args:
      layer: layer of the viewer.
      viewer: the viewer, which knows the slice that is shown.
      limits: whether the contrast limits of the layer are its window.
    """
    values = layer.data[0] if layer.multiscale else layer.data
    last = np.array(values.shape[: layer.ndim]) - 1
    # The position along axes that are not shown; along the others it does not matter.
    place = np.round(np.atleast_1d(layer.world_to_data(viewer.dims.point)))[-layer.ndim :]
    step = tuple(int(index) for index in np.clip(place, 0, last))
    low, high = (float(value) for value in layer.contrast_limits) if limits else (0.0, 0.0)
    window = (low, high) if limits else None
    size, path = _measure_pixel(layer), layer.source.path
    path = None if path is None else str(path)
    return LayerImage(layer.name, values, bool(layer.rgb), step, window, size, path)


def _measure_pixel(layer: Any) -> tuple[float, ...]:
    """Return the millimetres between pixels along each axis; NaN where the unit is no length."""
    sizes = []
    for scale, unit in zip(layer.scale, layer.units, strict=True):
        is_length = unit.is_compatible_with("mm")
        sizes.append(abs(scale) * float((1 * unit).to("mm").magnitude) if is_length else math.nan)
    return tuple(sizes)


class ResultLayers:
    """The layers of one result: clusters, mask and marks, at the place of the image.

    Clusters are shown with their labels plus 1, because 0 is transparent in napari.
    """

    def __init__(self, viewer: Any, image: Any, cut: Cut) -> None:
        self._viewer, self._cut, self._name = viewer, cut, image.name
        self._place = _compute_place(image, cut)
        self._layers: dict[str, Any] = {}

    def fits(self, cut: Cut) -> bool:
        """Return whether the layers are at the place of another part, so that marks still hold."""
        own = self._cut
        return (own.use, own.leading, own.values.shape) == (cut.use, cut.leading, cut.values.shape)

    def show(self, session: Session) -> None:
        """Add the layers of a result, or replace what they show. Marks stay as they are."""
        clusters, mask = session.clusters, session.mask
        if not self._is_shown("clusters"):
            self._add("clusters", clusters.astype(np.int32) + 1, opacity=_OPACITY)
        layer = self._layers["clusters"]
        layer.data = self._cut.expand(clusters.astype(np.int32) + 1)
        colors = make_cluster_colors(int(clusters.max()) + 1) / 255
        layer.colormap = _make_colormap(dict(enumerate(map(tuple, colors), start=1)))
        layer.features = _describe_clusters(clusters)
        if not self._is_shown("mask"):
            outline = {1: tuple(value / 255 for value in OUTLINE)}
            self._add("mask", mask.astype(np.uint8), colormap=_make_colormap(outline), opacity=1.0)
            self._layers["mask"].contour = 2
        self._layers["mask"].data = self._cut.expand(mask.astype(np.uint8))
        # The plugin writes these two; painted changes would be lost.
        for kind in ("clusters", "mask"):
            self._layers[kind].editable = False
        self.add_marks(mask.shape)

    def add_marks(self, shape: tuple[int, ...]) -> None:
        """Add an empty layer of marks unless there is one."""
        if self._is_shown("marks"):
            return
        colors = _make_colormap({INSIDE: _INSIDE_COLOR, OUTSIDE: _OUTSIDE_COLOR})
        self._add("marks", np.zeros(shape, np.uint8), colormap=colors, opacity=0.9)
        self._layers["marks"].brush_size = max(2, round(_BRUSH * max(shape[-2:])))

    def read_marks(self) -> np.ndarray:
        """Return the marks of the part, or zeros if their layer was deleted."""
        if not self._is_shown("marks"):
            return np.zeros(self._cut.values.shape[: 3 if self._cut.is_volume else 2], np.uint8)
        return self._cut.shrink(self._layers["marks"].data)

    def clear_marks(self) -> None:
        """Erase all marks."""
        if self._is_shown("marks"):
            layer = self._layers["marks"]
            layer.data = np.zeros_like(np.asarray(layer.data))

    def activate(self, kind: str) -> Any:
        """Select a layer for the mouse, and return it; None if it was deleted."""
        if not self._is_shown(kind):
            return None
        self._viewer.layers.selection.active = self._layers[kind]
        return self._layers[kind]

    def find_place(self, position: Any) -> tuple[int, ...] | None:
        """Return the index of the pixel of the part at a position of the viewer.

        Args:
          position: position in world coordinates.

        Returns:
          (row, column) or (slice, row, column), which may be outside the part; None if the layer of
          clusters was deleted, or shows another slice than the part.
        """
        if not self._is_shown("clusters"):
            return None
        layer = self._layers["clusters"]
        place = [round(float(value)) for value in layer.world_to_data(position)]
        leading = len(self._cut.leading)
        return None if any(place[:leading]) else tuple(place[leading:])

    def remove(self) -> None:
        """Remove the layers from the viewer."""
        for kind in self._layers:
            if self._is_shown(kind):
                self._viewer.layers.remove(self._layers[kind])

    def _add(self, kind: str, part: np.ndarray, **options: Any) -> None:
        name = f"{self._name} {kind}"
        layer = Labels(self._cut.expand(part), name=name, **self._place, **options)
        self._layers[kind] = self._viewer.add_layer(layer)

    def _is_shown(self, kind: str) -> bool:
        """Return whether the layer is in the viewer; the user may delete it at any time."""
        return kind in self._layers and self._layers[kind] in self._viewer.layers


def _compute_place(image: Any, cut: Cut) -> dict[str, Any]:
    """Compute the arguments that put a layer of the part onto the image layer."""
    ndim = image.ndim
    if cut.use == "channels":  # all axes but the first
        axes = list(range(1, ndim))
        return {
            "scale": image.scale[axes],
            "translate": image.translate[axes],
            "rotate": image.rotate[np.ix_(axes, axes)],
            "affine": image.affine.set_slice(axes),
            "units": tuple(image.units[axis] for axis in axes),
        }
    # The part begins at an index of the layer, which its transform, without the affine, moves.
    own = {"scale": image.scale, "rotate": image.rotate, "shear": image.shear}
    begin = np.zeros(ndim)
    begin[: len(cut.leading)] = cut.leading
    inner = Affine(translate=image.translate, ndim=ndim, **own)
    return {**own, "translate": inner(begin), "affine": image.affine, "units": image.units}


def _make_colormap(colors: dict[int, tuple[float, ...]]) -> Any:
    """Make a colormap in which every other label is transparent."""
    clear = (0.0, 0.0, 0.0, 0.0)
    return DirectLabelColormap(color_dict={None: clear, 0: clear, **colors})


def _describe_clusters(clusters: np.ndarray) -> dict[str, list[float]]:
    """Make the table that the viewer shows for the label below the cursor."""
    areas = np.bincount(clusters.ravel())
    return {
        "index": [0, *range(1, len(areas) + 1)],
        "cluster": [-1, *range(len(areas))],
        "percent": [0.0, *(round(100 * float(area) / clusters.size, 1) for area in areas)],
    }
