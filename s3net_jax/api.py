"""Segment images and volumes in one call: ``segment``, ``segment_batch``, ``segment_volume``."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Never, SupportsIndex, get_args

from s3net_jax.config import Config, check_config, format_slices
from s3net_jax.errors import suggest_nearest
from s3net_jax.presets import DEFAULT_PRESET
from s3net_jax.presets import preset as named_preset
from s3net_jax.run import (
    Kept,
    Segmentation,
    VolumeSegmentation,
    choose_volume_mode,
    load_network,
    open_volume,
    read_model_config,
    segment_images,
    segment_volume_case,
)

if TYPE_CHECKING:
    import numpy as np
    from flax import nnx
    from jax import Array
    from nibabel.spatialimages import SpatialImage
    from PIL import Image as PilImage

    from s3net_jax.io import Image

    Progress = Callable[[int, dict[str, Any]], None]
    Window = str | tuple[float, float]
    Model = str | os.PathLike[str] | Mapping[Any, Any] | nnx.State
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
    model: Model | None = None,
    seed: int = 0,
    keep: Sequence[Kept] = (),
    progress: Progress | bool | None = None,
    **unknown: Never,
) -> Segmentation:
    """Segment one image without labels.

    Trains S3-Net on the image and cleans up the clusters that it finds. Up to rounding, the result
    equals that of :func:`segment_batch` and of the command. The presets ``iic`` and
    ``deepcluster``, which are meant for many images (:func:`segment_batch`), train on this one
    image, and a note says that.

    Args:
      image: path of a picture; PIL image; or array (H, W), (H, W, 1) or (H, W, 3), uint8 in 0..255
        or floating point in [0, 1]. Other numbers are scaled between the two values of ``window``.
        For a volume, see :func:`segment_volume`.
      preset: name of a preset (default: ``best``), see :data:`s3net_jax.PRESETS`.
      config: complete configuration, instead of ``preset``.
      target: rule that chooses the clusters of the mask: ``auto``, ``dark``, ``bright``,
        ``center``, ``point:X,Y`` (pixels from the left and from the top) or ``all``.
      size: side of the network's input in pixels, 16 to 4096.
      tile: side in pixels of the tiles that a larger image is cut into; each tile is fitted
        separately. 0 never cuts.
      window: values shown as black and white in images of more than 8 bits: ``auto``; ``lung``,
        ``soft`` or ``bone`` for a CT in Hounsfield units; or two numbers ``(low, high)``.
      model: trained network to apply without training: a file such as the command's ``model.npz``,
        whose configuration is used unless ``preset`` or ``config`` is given; or parameters, with
        the ``config`` of their training.
      seed: random seed of initial parameters and transforms, 0 to 2³² − 1. The same seed on the
        same device gives the same result.
      keep: large parts of the fit to return, any of ``"logits"`` and ``"params"``. They equal those
        of :func:`s3net_jax.fit` with the key that :func:`s3net_jax.make_key` makes from the seed,
        up to rounding; bit for bit if both calls are given a function as ``progress``.
      progress: None shows a bar while fits run if stderr is a terminal, or a line of text in a
        notebook, except in threads, in child processes, and with the environment variable
        ``S3NET_QUIET``. True shows it there, too; False shows nothing. A bar neither compiles a
        program nor changes the result. A function is called as
        ``progress(step, {"loss": ..., "labels": ...})`` after every step or, when several fits run
        at once (``fit.members``, tiles), about every fourth step with means. An exception that the
        function raises ends the fit and is raised here.

    ``target``, ``size``, ``tile`` and ``window`` override the preset or ``config``; None keeps its
    value. All other settings are fields of ``config``.

    Returns:
      A :class:`Segmentation`: ``labels`` (H, W) int32 and ``mask`` (H, W) bool at the size of the
      image, ``history`` with every term of the loss, ``notes`` on what a user should know (omitted
      pages, a window that was not applied, a repeated fit, an empty mask), and more.

    Raises:
      InputError: the image or ``model`` can't be read, or there is nothing to segment.
      ConfigError: the preset, target or window is unknown, or ``model`` belongs to another
        configuration.
      DivergedError: the optimisation diverged, also with a quarter of the learning rate.
      RuntimeError: the fit failed for another reason, such as lack of memory.
      TypeError: an argument has an unknown name or a wrong type, an array is traced, or both
        ``preset`` and ``config`` are given.
      ValueError: ``seed`` is not a whole number from 0 to 2³² − 1, or ``keep`` has an unknown name.
    """
    _refuse_unknown("segment", unknown, segment)
    _check_seeds((seed,))
    _check_keep(keep)
    _check_progress(progress)
    chosen = _choose_config(preset, config, model, target, size, tile, window)
    network = load_network(model, chosen)
    return segment_images([_open(image, chosen)], chosen, (seed,), progress, keep, network)[0][0]


def segment_batch(
    images: Sequence[ImageLike],
    *,
    preset: str | None = None,
    config: Config | None = None,
    target: str | None = None,
    size: int | None = None,
    tile: int | None = None,
    window: Window | None = None,
    model: Model | None = None,
    seeds: Sequence[int] = (0,),
    keep: Sequence[Kept] = (),
    progress: Progress | bool | None = None,
    **unknown: Never,
) -> list[list[Segmentation]]:
    """Segment many images, each with one or more seeds, in batches.

    Images whose network inputs have the same shape share one compiled program; with
    ``input.aspect="square"`` these are all images. Each image keeps its own weights, statistics and
    early stop. The batch size is the largest that fits in memory and still improves throughput. A
    fit that diverges is repeated with a quarter of the learning rate, and ``notes`` reports that.

    The presets ``iic`` and ``deepcluster`` train one network on all images for each seed, and then
    apply it to every image.

    Args:
      images: images as :func:`segment` takes them; an array (N, H, W, 3) holds N images.
      preset: name of a preset, as for :func:`segment`.
      config: complete configuration, instead of ``preset``.
      target: rule that chooses the clusters of the mask, as for :func:`segment`.
      size: side of the network's input in pixels.
      tile: side of the tiles that larger images are cut into, in pixels.
      window: values shown as black and white, as for :func:`segment`.
      model: trained network to apply without training, as for :func:`segment`.
      seeds: random seeds; every image is segmented once with each seed.
      keep: large parts of every fit to return, as for :func:`segment`.
      progress: bar or function, as for :func:`segment`.

    Returns:
      A list for every image with a :class:`Segmentation` for each of ``seeds``, which equals the
      result of :func:`segment` up to rounding, unless one network is trained on all images.
      ``seconds`` is an equal share of the time that a batch took, and of the training.

    Raises:
      InputError: an image or ``model`` can't be read, or an image contains nothing to segment.
      ConfigError: the preset, target or window is unknown, or ``model`` belongs to another
        configuration.
      DivergedError: the optimisation of an image diverged, also with a quarter of the learning
        rate.
      RuntimeError: the fit of an image failed for another reason.
      TypeError: ``images`` or ``seeds`` is not a sequence, or an argument has an unknown name or a
        wrong type.
      ValueError: ``seeds`` is empty or contains something else than whole numbers from 0 to
        2³² − 1, several seeds are given for a ``model``, or ``keep`` has an unknown name.
    """
    _refuse_unknown("segment_batch", unknown, segment_batch)
    _check_images(images)
    _check_keep(keep)
    _check_progress(progress)
    if not hasattr(seeds, "__len__"):
        raise TypeError(f"seeds must be a list, such as [0, 1]; got {seeds!r}.")
    if len(seeds) == 0:
        raise ValueError("segment_batch needs at least one seed.")
    _check_seeds(seeds)
    if model is not None and len(seeds) > 1:
        raise ValueError(
            f"A trained network gives the same result for every seed, but seeds is {seeds!r}: give "
            "one seed."
        )
    chosen = _choose_config(preset, config, model, target, size, tile, window)
    network = load_network(model, chosen)
    opened = [_open(image, chosen) for image in images]
    return segment_images(opened, chosen, seeds, progress, keep, network)


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
    one_network: bool | None = None,
    slices: str | tuple[int | None, int | None] | None = None,
    model: Model | None = None,
    seed: int = 0,
    progress: Progress | bool | None = None,
    **unknown: Never,
) -> VolumeSegmentation:
    """Segment a volume slice by slice, or with one network, as the command does up to rounding.

    The presets ``iic`` and ``deepcluster`` train one network on all slices.

    Args:
      volume: path of a NIfTI file, a TIFF stack, a DICOM file, or a folder with one DICOM series;
        nibabel image; or array (Z, Y, X), or (Z, Y, X, 3) with uint8 colours. Z runs from the feet
        to the head, Y to the patient's back and X to the left, as in arrays of SimpleITK. All
        slices are scaled between the same two values of ``window``; uint8, and floating point in
        [0, 1], are not scaled.
      spacing: distances in millimetres between the voxels of an array along Z, Y and X; they
        become part of ``affine`` in the result.
      preset: name of a preset, as for :func:`segment`.
      config: complete configuration, instead of ``preset``.
      target: rule that chooses the clusters of the mask, as for :func:`segment`; a point is a pixel
        of every slice.
      size: side of the network's input in pixels.
      window: values shown as black and white, as for :func:`segment`.
      axis: direction of the slices: ``auto`` (as acquired; Z for an array), ``axial``, ``coronal``
        or ``sagittal``.
      one_network: whether to train one network on a few slices, to label all slices with it, and to
        choose the target once, in 3D (``config.fit.volume="shared"``). Otherwise, each slice is
        fitted, and labels are matched between slices. None keeps what ``config`` has.
      slices: first and last slice to segment, numbered from 1, with None for an open end, or text
        such as ``10:40``. The other slices get label 0 and an empty mask.
      model: trained network to apply to every slice, as for :func:`segment`.
      seed: random seed, as for :func:`segment`.
      progress: bar or function, as for :func:`segment`; a function is called about every fourth
        step with means over the slices of a batch; with ``one_network``, after every step.

    Returns:
      A :class:`VolumeSegmentation`: ``labels`` int32 and ``mask`` bool on the grid of the volume,
      ``target``, ``affine`` and ``notes``.

    Raises:
      InputError: the volume or ``model`` can't be read, the volume contains nothing to segment or
        has fewer slices than ``slices`` names, or the folder contains several inputs.
      ConfigError: the preset, target, window or axis is unknown, ``slices`` is not a range of
        slices, or ``model`` belongs to another configuration.
      DivergedError: the optimisation of a slice diverged, also with a quarter of the learning rate.
      RuntimeError: the fit of a slice failed for another reason.
      TypeError: an argument has an unknown name or a wrong type, or ``spacing`` is given for a file
        or a nibabel image.
      ValueError: ``seed`` is not a whole number from 0 to 2³² − 1, or ``spacing`` is not three
        positive numbers.
    """
    _refuse_unknown("segment_volume", unknown, segment_volume)
    _check_seeds((seed,))
    _check_progress(progress)
    chosen = _choose_config(preset, config, model, target, size, None, window, axis)
    chosen = choose_volume_mode(chosen, one_network)
    if slices is not None:
        text = slices if isinstance(slices, str) else format_slices(slices)
        chosen = chosen.replace(input={"slices": text})
    network = load_network(model, chosen)
    case = open_volume(volume, spacing, chosen)
    return segment_volume_case(case, chosen, seed, progress, network)


def prepare(image: ImageLike, config: Config) -> np.ndarray:
    """Make the network's input from an image, as :func:`segment` does, for :func:`s3net_jax.fit`.

    Args:
      image: image as :func:`segment` takes it; it is never cut into tiles.
      config: configuration whose ``input`` sets size, proportions, resampling, window and order of
        channels.

    Returns:
      The network's input, (h, w, 3) float32 in [0, 1].

    Raises:
      InputError: the image can't be read or contains nothing to segment.
      ConfigError: the window is unknown.
      TypeError: an argument has a wrong type, or an array is traced.
    """
    from s3net_jax.io import prepare

    return prepare(_open(image, check_config(config)), config.input)


def _choose_config(
    preset: str | None,
    config: Config | None,
    model: Model | None = None,
    target: str | None = None,
    size: int | None = None,
    tile: int | None = None,
    window: Window | None = None,
    axis: str | None = None,
) -> Config:
    """Return the preset or configuration, with the values that the other arguments override."""
    if config is None and preset is None and model is not None:
        config = read_model_config(model)
    if config is None:
        config = named_preset(DEFAULT_PRESET if preset is None else preset)
    elif preset is not None:
        raise TypeError(
            f"Both preset={preset!r} and config are given: give one of them, or "
            "config=s3net_jax.preset(NAME).replace(...)."
        )
    from s3net_jax.io import format_window, parse_window
    from s3net_jax.masks import check_target

    if window is not None and not isinstance(window, str):
        window = format_window(window)
    given = {"size": size, "tile": tile, "window": window, "axis": axis}
    changes: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
    chosen = check_config(config).replace(input=changes)
    if target is not None:
        chosen = chosen.replace(segment={"target": target})
    # As in the command, before any image is read.
    check_target(chosen.segment.target)
    parse_window(chosen.input.window)
    return chosen


def _refuse_unknown(name: str, unknown: Mapping[str, Any], function: Callable[..., Any]) -> None:
    """Raise TypeError for arguments that ``function`` does not have, and suggest the right name."""
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
    """Read an image of any kind that :func:`segment` takes."""
    from s3net_jax.io import parse_window, to_image

    return to_image(image, parse_window(config.input.window))


def _check_keep(keep: Any) -> None:
    """Raise unless ``keep`` lists parts of a fit that can be returned."""
    names = get_args(Kept)
    if isinstance(keep, str) or not hasattr(keep, "__iter__"):
        raise TypeError(f"keep is {keep!r}; give a list of names, such as {list(names)}.")
    for name in keep:
        if name not in names:
            raise ValueError(f"keep can't be {name!r}: use {' or '.join(map(repr, names))}.")


def _check_progress(progress: Any) -> None:
    """Raise TypeError unless ``progress`` is a switch or a function."""
    if progress is not None and not isinstance(progress, bool) and not callable(progress):
        raise TypeError(
            f"progress is {progress!r}: give True, False, None, or a function of the step and its "
            "record."
        )


def _check_images(images: Any) -> None:
    """Raise TypeError if a single image is given instead of several."""
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
    """Raise ValueError for seeds that a PRNG key can't hold: it has only 32 bits of a seed."""
    for seed in seeds:
        if not isinstance(seed, SupportsIndex) or not 0 <= int(seed) < 2**32:
            raise ValueError(f"The seed {seed!r} is not a whole number from 0 to {2**32 - 1}.")
