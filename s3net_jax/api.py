"""``segment`` and its like: one call from an image or a volume to labels and mask."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never, SupportsIndex

from s3net_jax.config import Config, check_config
from s3net_jax.errors import ConfigError, suggest_nearest
from s3net_jax.presets import DEFAULT_PRESET
from s3net_jax.presets import preset as named_preset
from s3net_jax.run import (
    Segmentation,
    VolumeSegmentation,
    open_volume,
    segment_images,
    segment_volume_case,
)

if TYPE_CHECKING:
    import numpy as np
    from jax import Array
    from nibabel.spatialimages import SpatialImage
    from PIL import Image as PilImage

    from s3net_jax.io import Image

    Progress = Callable[[int, dict[str, Any]], None]
    Window = str | tuple[float, float]
    ImageLike = str | os.PathLike[str] | np.ndarray | Array | PilImage.Image

__all__ = [
    "Segmentation",
    "VolumeSegmentation",
    "prepare",
    "segment",
    "segment_batch",
    "segment_volume",
]


def segment(
    image: ImageLike,
    *,
    preset: str | None = None,
    config: Config | None = None,
    target: str | None = None,
    size: int | None = None,
    tile: int | None = None,
    window: Window | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
    **unknown: Never,
) -> Segmentation:
    """Segment one image without labels: fit S3-Net to it and clean up its clusters.

    The same as :func:`segment_batch` for one image and seed.

    Args:
      image: a path of a picture (for a volume see
        :func:`segment_volume`); a PIL image; or an array
        (H, W), (H, W, 1) or (H, W, 3), uint8 in 0..255, or floating point in [0, 1]. Other
        numbers are scaled between the two values of ``window``, as the command does.
      preset: name of a preset (default: ``best``); see :data:`s3net_jax.PRESETS`.
      config: a whole configuration, in place of ``preset``; give one of the two.
      target: which clusters the mask shows: ``auto``, ``dark``, ``bright``, ``center``,
        ``point:X,Y`` (pixels from the left and top) or ``all``.
      size: side of the network's input in pixels, 16 to 4096.
      tile: side in pixels of the tiles that a larger image is cut into, each fitted by itself; 0
        never cuts.
      window: values shown as black and white, of images of more than 8 bits: ``auto``, ``lung``,
        ``soft``, ``bone`` (of a CT in Hounsfield units), or two numbers ``(low, high)``.
      seed: random seed of initial parameters and transforms; the same seed on the same device
        gives the same result.
      progress: None shows a bar while fits run, if stderr is a terminal, or a line of text in a
        notebook; but not in other threads and child processes than the main ones, nor if the
        environment variable ``S3NET_QUIET`` is set. True overrules these exceptions; False shows
        nothing. A bar neither compiles a program nor changes the result. A function is called as
        ``progress(step, {"loss": ..., "labels": ...})`` after every step; of several fits at once
        about every fourth step, with means. An exception that it raises ends the fit, and is raised
        here.

    ``target``, ``size``, ``tile`` and ``window`` change the preset or ``config``, whose values they
    leave as they are where they are None. Every other field is set in ``config``.

    Returns:
      ``labels`` (H, W) int32 and ``mask`` (H, W) bool at the image's own size, ``history`` of
      every term of the loss, ``notes`` on what a user should know (pages left out, a window that
      was not applied, a fit done again, an empty mask), and more: see :class:`Segmentation`.

    Raises:
      InputError: the image can't be read or holds nothing to segment.
      ConfigError: an unknown preset, target or window.
      DivergedError: the optimisation left the finite numbers, again with a quarter of the learning
        rate.
      RuntimeError: the fit failed otherwise, such as out of memory.
      TypeError: an argument of another name or type than described, a traced array, or both
        ``preset`` and ``config``.
      ValueError: a seed that is not a whole number from 0 to 2³² − 1.
    """
    _refuse_unknown("segment", unknown, segment)
    _check_seeds((seed,))
    _check_progress(progress)
    chosen = _choose_config(preset, config, target, size, tile, window)
    return segment_images([_open(image, chosen)], chosen, (seed,), progress)[0][0]


def segment_batch(
    images: Sequence[ImageLike],
    *,
    preset: str | None = None,
    config: Config | None = None,
    target: str | None = None,
    size: int | None = None,
    tile: int | None = None,
    window: Window | None = None,
    seeds: Sequence[int] = (0,),
    progress: Progress | bool | None = None,
    **unknown: Never,
) -> list[list[Segmentation]]:
    """Segment many images with one or more seeds each, optimised in batches.

    Images that become network inputs of one shape share one program (with ``input.aspect``
    ``square``, all of them); each keeps its own weights, statistics and early stop. As many
    are fitted at once as help and fit in memory. A fit that diverges is done once more with a
    quarter of the learning rate; ``notes`` then says so.

    Args:
      images: each as :func:`segment` takes one; an array (N, H, W, 3) is N of them.
      preset, config, target, size, tile, window: as for :func:`segment`.
      seeds: seeds; every image is segmented once with each.
      progress: bar or function, as for :func:`segment`.

    Returns:
      For every image its segmentations, in the order of ``seeds``; each is what :func:`segment`
      gives for that seed, to rounding. ``seconds`` is an equal share of the time taken together.

    Raises:
      InputError, ConfigError, DivergedError, RuntimeError: as :func:`segment`, for the first image
        with one.
      TypeError: one image or one seed in place of several, or an argument of another name or type
        than described.
      ValueError: no seeds, or one that is not a whole number from 0 to 2³² − 1.
    """
    _refuse_unknown("segment_batch", unknown, segment_batch)
    _check_images(images)
    _check_progress(progress)
    if not hasattr(seeds, "__len__"):
        raise TypeError(f"seeds is {seeds!r}, where a list of seeds is expected, such as [0, 1].")
    if len(seeds) == 0:
        raise ValueError("segment_batch needs at least one seed.")
    _check_seeds(seeds)
    chosen = _choose_config(preset, config, target, size, tile, window)
    return segment_images([_open(image, chosen) for image in images], chosen, seeds, progress)


def segment_volume(
    volume: str | os.PathLike[str] | np.ndarray | Array | SpatialImage,
    *,
    spacing: Sequence[float] | None = None,
    preset: str | None = None,
    config: Config | None = None,
    target: str | None = None,
    size: int | None = None,
    window: Window | None = None,
    axis: str | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
    **unknown: Never,
) -> VolumeSegmentation:
    """Segment a volume slice by slice, with labels matched from slice to slice.

    The same as the command for the same file.

    Args:
      volume: a NIfTI file, a TIFF stack, a DICOM file or a folder of one series; a nibabel image;
        or an array (Z, Y, X), or (Z, Y, X, 3) of uint8 colours, with Z from the feet to the head, Y
        to the patient's back and X to the left, as SimpleITK gives it. Values other than uint8 are
        scaled between the two values of ``window``, the same for all slices; floating point in
        [0, 1] is not.
      spacing: millimetres between voxels of an array along Z, Y and X; it is part of ``affine`` in
        the result.
      preset, config, target, size, window: as for :func:`segment`; a point of ``target`` is a
        pixel of every slice.
      axis: direction of the slices: ``auto`` (as acquired; Z for an array), ``axial``, ``coronal``
        or ``sagittal``.
      seed: random seed, as for :func:`segment`.
      progress: bar or function, as for :func:`segment`; a function is called about every fourth
        step, with means over the slices that are fitted together.

    Returns:
      ``labels`` int32 and ``mask`` bool on the grid of the volume, ``target``, ``affine`` and
      ``notes``; see :class:`VolumeSegmentation`.

    Raises:
      InputError: the volume can't be read, holds nothing to segment, or the path names several.
      ConfigError, DivergedError, RuntimeError: as :func:`segment`.
      TypeError: as :func:`segment`, and a spacing for anything but an array.
      ValueError: a seed or spacing other than described.
    """
    _refuse_unknown("segment_volume", unknown, segment_volume)
    _check_seeds((seed,))
    _check_progress(progress)
    chosen = _choose_config(preset, config, target, size=size, window=window, axis=axis)
    return segment_volume_case(open_volume(volume, spacing, chosen), chosen, seed, progress)


def prepare(image: ImageLike, config: Config) -> np.ndarray:
    """The network's input for an image, as :func:`segment` makes it, for :func:`s3net_jax.fit`.

    Args:
      image: as :func:`segment` takes one; never cut into tiles.
      config: its ``input`` decides size, proportions, resampling, window and order of channels.

    Returns:
      (h, w, 3) float32 in [0, 1].

    Raises:
      InputError, ConfigError, TypeError: as :func:`segment`.
    """
    from s3net_jax.io import prepare

    return prepare(_open(image, check_config(config)), config.input)


def _choose_config(
    preset: str | None,
    config: Config | None,
    target: str | None = None,
    size: int | None = None,
    tile: int | None = None,
    window: Window | None = None,
    axis: str | None = None,
) -> Config:
    """Return the preset or configuration with what the other arguments change."""
    if config is None:
        config = named_preset(DEFAULT_PRESET if preset is None else preset)
    elif preset is not None:
        raise TypeError(
            f"Both preset={preset!r} and config are given, and a configuration is complete by "
            "itself: give one of them, or config=s3net_jax.preset(NAME).replace(...)."
        )
    if window is not None and not isinstance(window, str):
        window = _format_window(window)
    given = {"size": size, "tile": tile, "window": window, "axis": axis}
    changes: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    chosen = check_config(config).replace(input=changes)
    if target is not None:
        chosen = chosen.replace(segment={"target": target})
    from s3net_jax.io import parse_window
    from s3net_jax.masks import check_target

    # Before any image is read, as the command does.
    check_target(chosen.segment.target)
    parse_window(chosen.input.window)
    return chosen


def _format_window(window: Any) -> str:
    """Format two numbers as ``config.input.window`` holds them."""
    try:
        numbers = [float(value) for value in window]
        low, high = (int(value) if value.is_integer() else value for value in numbers)
    except (TypeError, ValueError):
        raise ConfigError(
            f"window can't be {window!r}: give a name, such as 'lung', or two numbers (LOW, HIGH)."
        ) from None
    return f"{low},{high}"


def _refuse_unknown(name: str, unknown: Mapping[str, Any], function: Callable[..., Any]) -> None:
    """Raise TypeError for keywords that ``function`` does not have."""
    for word in unknown:
        sections = vars(named_preset(DEFAULT_PRESET))
        fields = [f"{one}={{{word!r}: ...}}" for one in sections if word in _list_fields(one)]
        if word in sections:
            fields = [f"{word}={{...}}"]
        advice = f" Set it in config=s3net_jax.preset(NAME).replace({' or '.join(fields)})."
        known = inspect.signature(function).parameters.values()
        options = [option.name for option in known if option.kind is option.KEYWORD_ONLY]
        hint = advice if fields else suggest_nearest(word, options)
        raise TypeError(f"{name}() has no argument {word!r}.{hint}")


def _list_fields(section: str) -> list[str]:
    """List the fields of a section of the configuration."""
    value = getattr(named_preset(DEFAULT_PRESET), section)
    return [f.name for f in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []


def _open(image: Any, config: Config) -> Image:
    from s3net_jax.io import parse_window, to_image

    return to_image(image, parse_window(config.input.window))


def _check_progress(progress: Any) -> None:
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise TypeError(
            f"progress is {progress!r}: give True, False, None, or a function of the step and its "
            "record."
        )


def _check_images(images: Any) -> None:
    """Several images can be taken for one, and one for several."""
    if isinstance(images, (str, os.PathLike)) or not hasattr(images, "__len__"):
        what = repr(images) if isinstance(images, (str, os.PathLike)) else type(images).__name__
        raise TypeError(f"segment_batch takes a list of images, not {what}: put it into a list.")
    shape = getattr(images, "shape", None)
    if shape is not None and len(shape) != 4:
        raise TypeError(
            f"segment_batch takes a list of images or an array (N, H, W, C), not an array of the "
            f"shape {tuple(shape)}: put a single image into a list."
        )


def _check_seeds(seeds: Sequence[int]) -> None:
    """A key has 32 bits of a seed: others would give the results of one of these."""
    for seed in seeds:
        if not isinstance(seed, SupportsIndex) or not 0 <= int(seed) < 2**32:
            raise ValueError(f"The seed {seed!r} is not a whole number from 0 to {2**32 - 1}.")
