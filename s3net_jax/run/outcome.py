"""Define the input of a fit and its outcome: a result, or the reason for a failure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import DivergedError, describe_unexpected
from s3net_jax.io import Image
from s3net_jax.jax_setup import is_out_of_memory
from s3net_jax.masks import Confidence
from s3net_jax.run.network import Network

__all__ = [
    "Failed",
    "Fitted",
    "Kept",
    "Outcome",
    "Piece",
    "check_fitted",
    "describe_divergence",
    "describe_failure",
    "has_infinite_start",
]


Kept = Literal["logits", "params"]
"""Part of a fit's result that is returned only on request, because of its size."""


@dataclass(frozen=True, eq=False)
class Piece:
    """One image to fit with one seed, or to apply a trained network to.

    Attributes:
      image: image to fit.
      seed: seed of the fit.
      member: number of the fit among the ``fit.members`` fits of this seed, from 0.
      network: network to apply; None for a fit.
    """

    image: Image
    seed: int
    member: int = 0
    network: Network | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit that succeeded, or the prediction of a trained network.

    A prediction has no steps: its history is empty.

    Attributes:
      labels: (H, W) int32 at the image's original size, 0..L−1 by decreasing area; int16 numbers of
        the network's clusters if they are common to the slices of a volume.
      history: (steps,) arrays ``loss``, ``ce``, ``affine``, ``spatial``, ``labels``.
      steps: number of steps before an early stop, or all steps.
      label_maps: (steps, h, w) pseudo labels of each step at the network's size, or None.
      seconds: time of the batch divided by its number of fits; for a prediction including
        :attr:`NetworkFile.share`.
      notes: sentences for the user.
      target: target labels if the fit has chosen them, or None.
      member: number of the fit among the members of its seed.
      logits: (h, w, K) logits of the trained network at the network's size, or None.
      params: trained parameters, a state of the network with NumPy arrays, or None.
      confidence: estimate of how good the target is, or None if the fit has not chosen one among
        proposals; :func:`.confidence.assess_result` then makes it.
      clusters: (H, W) int32 label map without the target, if ``labels`` contains the target as a
        separate cluster; otherwise None.
    """

    labels: np.ndarray
    history: dict[str, np.ndarray]
    steps: int
    label_maps: np.ndarray | None
    seconds: float
    notes: tuple[str, ...] = ()
    target: tuple[int, ...] | None = None
    member: int = 0
    logits: np.ndarray | None = None
    params: Any = None
    confidence: Confidence | None = None
    clusters: np.ndarray | None = None


@dataclass(frozen=True)
class Failed:
    """A fit that failed.

    Attributes:
      reason: a sentence if the fit diverged, else a clause that follows the input's name.
      diverged: whether the loss or the logits became NaN or infinite.
    """

    reason: str
    diverged: bool = False


Outcome = Fitted | Failed


def check_fitted(outcome: Outcome, where: str | None) -> Fitted:
    """Return ``outcome`` if the fit succeeded.

    Args:
      outcome: of one fit.
      where: name of what was fitted, for errors; None if there is nothing else.

    Raises:
      DivergedError: the fit diverged, and did so again with a lower learning rate.
      RuntimeError: the fit failed otherwise.
    """
    if isinstance(outcome, Fitted):
        return outcome
    if outcome.diverged:
        raise DivergedError(f"{where}: {outcome.reason}" if where else outcome.reason)
    raise RuntimeError(f"{where or 'The fit'} {outcome.reason}")


def has_infinite_start(history: Mapping[str, np.ndarray]) -> bool:
    """Return whether the first loss, computed before the first update, is NaN or infinite."""
    return not np.isfinite(np.asarray(history["loss"])[:1]).all()


def describe_divergence(history: Mapping[str, np.ndarray], config: Config) -> str:
    """Describe at which step a fit with this history diverged, and what to change."""
    if has_infinite_start(history):
        return (
            "The loss is not finite before the first update, so no learning rate helps: check the "
            "image and the starting parameters for NaN, infinite or huge values, and the loss "
            "weights (loss.weight_...)."
        )
    finite = np.isfinite(history["loss"])
    when = f"at step {int(np.argmin(finite)) + 1}" if not finite.all() else "in its last step"
    return (
        f"The optimisation diverged {when}: lower fit.learning_rate "
        f"(now {config.fit.learning_rate:g})."
    )


def describe_failure(error: Exception) -> str:
    """Describe an error of a fit as a clause that follows the input's name."""
    if is_out_of_memory(error):
        return "ran out of memory: try a smaller --size or fewer model.channels."
    return describe_unexpected(error)
