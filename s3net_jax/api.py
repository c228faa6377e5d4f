"""``segment``: one call from an image to labels, mask and history."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, SupportsIndex

from s3net_jax.config import Config
from s3net_jax.presets import preset as named_preset
from s3net_jax.run.single import Segmentation, segment_image

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image as PilImage

__all__ = ["Segmentation", "segment", "segment_batch"]


def segment(
    image: str | os.PathLike[str] | np.ndarray | PilImage.Image,
    *,
    preset: str = "paper",
    config: Config | None = None,
    seed: int = 0,
    progress: Callable[[int, dict[str, Any]], None] | None = None,
) -> Segmentation:
    """Segment one image without labels: fit S3-Net to it and clean up its clusters.

    Args:
      image: a path; a PIL image; or an array (H, W), (H, W, 1) or (H, W, 3), uint8 in 0..255,
        or floating point in [0, 1].
      preset: name of a preset; see :data:`s3net_jax.PRESETS`.
      config: a whole configuration in place of a preset.
      seed: decides initial parameters and drawn transforms; the same seed on the same device
        gives the same result.
      progress: called as ``progress(step, {"loss": ..., "labels": ...})`` after every step.

    Returns:
      ``labels`` (H, W) int32 and ``mask`` (H, W) bool at the image's own size, ``history`` of
      every term of the loss, and more: see :class:`Segmentation`.

    Raises:
      InputError: the image can't be read or holds nothing to segment.
      ConfigError: an unknown preset or target.
      DivergedError: the optimisation left the finite numbers.
      ValueError: a seed that is not a whole number from 0 to 2³² − 1.
    """
    from s3net_jax.io import as_image
    from s3net_jax.run.members import several_members

    _check_seeds((seed,))
    chosen = named_preset(preset) if config is None else config
    if several_members(chosen):
        from s3net_jax.run.together import segment_together

        return segment_together([as_image(image)], chosen, (seed,), progress)[0][0]
    return segment_image(as_image(image), chosen, seed=seed, progress=progress)


def segment_batch(
    images: Sequence[str | os.PathLike[str] | np.ndarray | PilImage.Image],
    *,
    preset: str = "paper",
    config: Config | None = None,
    seeds: Sequence[int] = (0,),
) -> list[list[Segmentation]]:
    """Segment many images with one or more seeds each, all optimised together.

    Images that become network inputs of one shape share one program (with ``input.aspect``
    ``square``, all of them); each keeps weights, statistics and early stop of its own. As many
    are fitted at once as help and as the memory holds. A fit that diverges is done once more with
    a quarter of the learning rate; ``notes`` then says so.

    Args:
      images: each as :func:`segment` takes one.
      preset, config: as for :func:`segment`.
      seeds: every image is segmented once with each.

    Returns:
      For every image its segmentations, in the order of ``seeds``; each is what :func:`segment`
      gives for that seed, to rounding. ``seconds`` is an equal share of the time taken together.

    Raises:
      InputError, ConfigError, DivergedError: as :func:`segment`, for the first image with one.
      RuntimeError: a fit failed otherwise, such as out of memory alone.
      ValueError: no seeds, or one that is not a whole number from 0 to 2³² − 1.
    """
    from s3net_jax.io import as_image
    from s3net_jax.run.together import segment_together

    _check_seeds(seeds)
    chosen = named_preset(preset) if config is None else config
    return segment_together([as_image(image) for image in images], chosen, seeds)


def _check_seeds(seeds: Sequence[int]) -> None:
    """A key has 32 bits of a seed: others would give the results of one of these."""
    for seed in seeds:
        if not isinstance(seed, SupportsIndex) or not 0 <= int(seed) < 2**32:
            raise ValueError(f"The seed {seed!r} is not a whole number from 0 to {2**32 - 1}.")
