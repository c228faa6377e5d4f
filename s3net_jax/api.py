"""``segment``: one call from an image to labels, mask and history."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

from s3net_jax.config import Config, check_config
from s3net_jax.presets import DEFAULT_PRESET
from s3net_jax.presets import preset as named_preset
from s3net_jax.run import Segmentation, segment_images

if TYPE_CHECKING:
    import numpy as np
    from jax import Array
    from PIL import Image as PilImage

    from s3net_jax.io import Image

    ImageLike = str | os.PathLike[str] | np.ndarray | Array | PilImage.Image

__all__ = ["Segmentation", "prepare", "segment", "segment_batch"]


def segment(
    image: ImageLike,
    *,
    preset: str | None = None,
    config: Config | None = None,
    seed: int = 0,
    progress: Callable[[int, dict[str, Any]], None] | None = None,
) -> Segmentation:
    """Segment one image without labels: fit S3-Net to it and clean up its clusters.

    The same as :func:`segment_batch` for one image and seed.

    Args:
      image: a path of a picture (of a volume the command cuts slices); a PIL image; or an array
        (H, W), (H, W, 1) or (H, W, 3), uint8 in 0..255, or floating point in [0, 1]. Other
        numbers are scaled between ``config.input.window``, as the command does, and an image
        larger than ``config.input.tile`` is cut into tiles.
      preset: name of a preset (default: ``best``); see :data:`s3net_jax.PRESETS`.
      config: a whole configuration, in place of ``preset``; give one of the two.
      seed: decides initial parameters and drawn transforms; the same seed on the same device
        gives the same result.
      progress: called as ``progress(step, {"loss": ..., "labels": ...})`` after every step; of
        several fits at once (``fit.members``, tiles) about every fourth, with means. What it
        raises ends the fit, and is raised here.

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
      TypeError: an argument of another type than described, a traced array, or both ``preset`` and
        ``config``.
      ValueError: a seed that is not a whole number from 0 to 2³² − 1.
    """
    from s3net_jax.fitting import check_listener

    _check_seeds((seed,))
    check_listener(progress)
    chosen = _choose_config(preset, config)
    return segment_images([_open(image, chosen)], chosen, (seed,), progress)[0][0]


def segment_batch(
    images: Sequence[ImageLike],
    *,
    preset: str | None = None,
    config: Config | None = None,
    seeds: Sequence[int] = (0,),
) -> list[list[Segmentation]]:
    """Segment many images with one or more seeds each, optimised in batches.

    Images that become network inputs of one shape share one program (with ``input.aspect``
    ``square``, all of them); each keeps its own weights, statistics and early stop. As many
    are fitted at once as help and fit in memory. A fit that diverges is done once more with a
    quarter of the learning rate; ``notes`` then says so.

    Args:
      images: each as :func:`segment` takes one; an array (N, H, W, 3) is N of them.
      preset, config: as for :func:`segment`.
      seeds: seeds; every image is segmented once with each.

    Returns:
      For every image its segmentations, in the order of ``seeds``; each is what :func:`segment`
      gives for that seed, to rounding. ``seconds`` is an equal share of the time taken together.

    Raises:
      InputError, ConfigError, DivergedError, RuntimeError: as :func:`segment`, for the first image
        with one.
      TypeError: one image or one seed in place of several, or another type than described.
      ValueError: no seeds, or one that is not a whole number from 0 to 2³² − 1.
    """
    _check_images(images)
    if not hasattr(seeds, "__len__"):
        raise TypeError(f"seeds is {seeds!r}, where a list of seeds is expected, such as [0, 1].")
    if len(seeds) == 0:
        raise ValueError("segment_batch needs at least one seed.")
    _check_seeds(seeds)
    chosen = _choose_config(preset, config)
    return segment_images([_open(image, chosen) for image in images], chosen, seeds)


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


def _choose_config(preset: str | None, config: Config | None) -> Config:
    if config is None:
        return named_preset(DEFAULT_PRESET if preset is None else preset)
    if preset is not None:
        raise TypeError(
            f"Both preset={preset!r} and config are given, and a configuration is complete by "
            "itself: give one of them, or config=s3net_jax.preset(NAME).replace(...)."
        )
    return check_config(config)


def _open(image: Any, config: Config) -> Image:
    from s3net_jax.io import parse_window, to_image

    return to_image(image, parse_window(config.input.window))


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
