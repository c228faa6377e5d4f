"""What is fitted, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s3net_jax.io import Image

__all__ = ["Failed", "Fitted", "Outcome", "Piece"]


@dataclass(frozen=True, eq=False)
class Piece:
    """One image to fit with one seed; ``member``: which of the seed's fits (``fit.members``)."""

    image: Image
    seed: int
    member: int = 0


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit that succeeded.

    Attributes:
      labels: (H, W) int32 at the image's own size, 0..L−1 by decreasing area.
      history: ``loss``, ``ce``, ``affine``, ``spatial``, ``labels``: (steps,) arrays.
      steps: done.
      label_maps: (steps, h, w) pseudo labels of each step at the network's size, or None.
      seconds: an equal share of the time taken together.
      notes: sentences a user should know.
      target: the labels that are the target, if that was decided with the fit; None: not yet.
    """

    labels: np.ndarray
    history: dict[str, np.ndarray]
    steps: int
    label_maps: np.ndarray | None
    seconds: float
    notes: tuple[str, ...] = ()
    target: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Failed:
    """A fit that did not.

    Attributes:
      reason: why, as a clause that follows the input's name, or a sentence.
      diverged: whether the optimisation left the finite numbers.
    """

    reason: str
    diverged: bool = False


Outcome = Fitted | Failed
