"""Select the masks that each evaluation protocol scores."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from s3net_jax.criteria import TARGET
from s3net_jax.evaluate.metrics import dsc

__all__ = ["PROTOCOLS", "select_scored_masks"]

PROTOCOLS = TARGET.protocols

# The authors' code scores at this size; the crop has a fixed width in pixels, so it depends on it.
_SIDE = 256


def select_scored_masks(
    labels: np.ndarray, mask: np.ndarray, truth: np.ndarray
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Select the mask and the ground truth to compare under every protocol.

    Args:
      labels: (H, W) integer label map with labels of at least 0; (H, W, slices) for a volume.
      mask: bool mask chosen by the tool, of the same shape.
      truth: bool ground truth G, of the same shape.

    Returns:
      Protocol → (mask, ground truth), two bool arrays of one shape.
    """
    values = np.unique(labels)
    overlap = [int(np.sum(truth[labels == value])) for value in values]
    chosen = labels == values[int(np.argmax(overlap))]
    scores = [dsc(labels == value, truth) for value in values]
    small, small_truth = _reduce(chosen), _reduce(truth)
    plane = np.ones((5, 5) + (1,) * (truth.ndim - 2), bool)
    around = ndimage.binary_dilation(small_truth, plane, iterations=2)
    return {
        "released": (small & around, small_truth),
        "overlap": (chosen, truth),
        "oracle": (labels == values[int(np.argmax(scores))], truth),
        "blind": (mask.astype(bool), truth),
    }


def _reduce(mask: np.ndarray) -> np.ndarray:
    """Resize to 256×256 by nearest neighbours."""
    rows, columns = (((np.arange(_SIDE) + 0.5) * n / _SIDE).astype(int) for n in mask.shape[:2])
    return mask[rows][:, columns]
