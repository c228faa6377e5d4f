"""One image: prepare, fit, segment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, DivergedError
from s3net_jax.io import Image, prepare
from s3net_jax.jax_setup import DRAWS, platform, usual_settings
from s3net_jax.masks import Segments, check_target, segment_logits

__all__ = [
    "DivergedError",
    "Progress",
    "Segmentation",
    "explain_divergence",
    "segment_image",
    "started_infinite",
]

Progress = Callable[[int, dict[str, Any]], None]
"""Called as ``progress(step, {"loss": ..., "labels": ...})`` after every step."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """One image's result.

    Attributes:
      labels: (H, W) int32, 0..L−1 by decreasing area, at the image's own size.
      mask: (H, W) bool, the target.
      target: the labels that the target was made from.
      history: ``loss``, ``ce``, ``affine``, ``spatial``, ``labels``: (steps,) arrays; of an image
        in tiles (``config.input.tile``), as ``steps`` and ``label_maps``, those of the tile in the
        middle.
      steps: steps done.
      label_maps: (steps, h, w) pseudo labels of each step at the network's size, or None.
      seconds: time taken, compilation included; an equal share of a batch's.
      notes: sentences a user should know: what of the image was left out or changed in reading,
        a fit done once more, an empty mask.
    """

    labels: np.ndarray
    mask: np.ndarray
    target: tuple[int, ...]
    history: dict[str, np.ndarray]
    steps: int
    label_maps: np.ndarray | None
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def segments(self) -> Segments:
        """Labels, mask and target alone."""
        return Segments(self.labels, self.mask, self.target)


def segment_image(
    image: Image, config: Config, *, seed: int = 0, progress: Progress | None = None
) -> Segmentation:
    """Segments one image, in one piece; the same image, configuration, seed and device give the
    same result.

    Raises:
      ConfigError: an unknown target, or an implementation that can't serve.
      InputError: the target's point lies outside the image.
      DivergedError: the network's output is not finite.
    """
    with usual_settings():
        return _segment_image(image, config, seed, progress)


def _segment_image(
    image: Image, config: Config, seed: int, progress: Progress | None
) -> Segmentation:
    import jax

    from s3net_jax.fitting import fit
    from s3net_kernels import UnsupportedError

    check_target(config.segment.target)
    platform()
    start = time.perf_counter()
    pixels = prepare(image, config.input)
    try:
        key = jax.random.key(seed, impl=DRAWS)
        result = fit(key, jax.numpy.asarray(pixels), config, progress=progress)
        logits = np.asarray(result.logits)
    except UnsupportedError as error:
        raise ConfigError(f"{error} (model.implementation={config.model.implementation})") from None
    steps = int(result.steps)
    # Copies: a view of a device's memory can't be written to.
    history = {name: np.array(values)[:steps] for name, values in result.history.items()}
    if not np.isfinite(logits).all():
        explain_divergence(history, config)
    segments = segment_logits(logits, image, config.segment)
    maps = None if result.label_maps is None else np.array(result.label_maps)[:steps]
    seconds = time.perf_counter() - start
    notes = (*image.notes, *segments.notes(image.name))
    return Segmentation(
        segments.labels, segments.mask, segments.target, history, steps, maps, seconds, notes
    )


def started_infinite(history: dict[str, np.ndarray]) -> bool:
    """Whether the first loss, which precedes the first update, is NaN or infinite already."""
    return not np.isfinite(np.asarray(history["loss"])[:1]).all()


def explain_divergence(history: dict[str, np.ndarray], config: Config) -> NoReturn:
    """Raise :class:`DivergedError` that says when it happened, and what helps."""
    if started_infinite(history):
        raise DivergedError(
            "The loss is not finite before the first update, whatever the learning rate: check "
            "the image and the starting parameters for NaN, infinite or huge values, and the "
            "loss weights (loss.weight_...)."
        )
    finite = np.isfinite(history["loss"])
    when = f"at step {int(np.argmin(finite)) + 1}" if not finite.all() else "in its last step"
    raise DivergedError(
        f"The optimisation diverged {when}: lower fit.learning_rate "
        f"(now {config.fit.learning_rate:g})."
    )
