"""Measure in millimetres how far the surface of a mask is from that of the ground truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.metrics import find_boundary
from s3net_jax.io import SliceView, load_nifti, place_nifti, read_resolution, read_stack
from s3net_jax.measure import find_volume_spacing

__all__ = ["TOLERANCE", "measure_surfaces", "read_spacing"]

TOLERANCE = 3.0
"""Distance in millimetres up to which surfaces match. TotalSegmentator evaluates with 3 mm
(Wasserthal et al., Radiology AI 2023), about the slice distance of a routine CT."""

_SHEAR = 0.01
"""Largest cosine between two axes of a grid whose voxels count as boxes. Headers hold rounded
numbers; at this limit, distances are wrong by at most 1 %."""


def read_spacing(pair: Pair) -> tuple[float, float, float] | None:
    """Read the voxel size of a volume, in the order of the axes of its results.

    Returns:
      Millimetres along (X, Y, Z), or along (slice, row, column) for a stack; None for pictures, and
      if a distance is unknown or the axes are not at right angles.
    """
    try:
        if pair.kind == "nifti":
            axes = place_nifti(load_nifti(pair.image), str(pair.image))[0][:3, :3].T
        elif pair.kind == "stack":
            view = SliceView(read_stack(pair.image))
            found = find_volume_spacing(view, read_resolution(pair.image))
            axes = np.full((3, 3), np.nan) if found is None else found.axes
        else:
            return None
    except Exception:  # a broken header; reading the image reports what is wrong
        return None
    lengths = np.linalg.norm(axes, axis=1)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        return None
    units = axes / lengths[:, None]
    if np.abs(units @ units.T - np.eye(3)).max() > _SHEAR:
        return None
    x, y, z = lengths.tolist()
    return x, y, z


def measure_surfaces(
    mask: np.ndarray, truth: np.ndarray, spacing: Sequence[float]
) -> dict[str, float]:
    """Compare the surfaces of two masks.

    The surface of a mask A consists of its voxels with a face to the outside; the edge of the
    volume counts as outside. D are the distances from the centre of each surface voxel of A to the
    nearest one of the ground truth G, and from each one of G to the nearest one of A.

    Args:
      mask, truth: bool arrays of the same shape, (X, Y, Z) or (H, W); ``truth`` is not empty.
      spacing: millimetres between voxels along each axis.

    Returns:
      ``hd95_mm``, the 95th percentile of D, and ``assd_mm``, the mean of D (average symmetric
      surface distance), in millimetres; ``surface_dice``, the share of D that is at most
      :data:`TOLERANCE`, in percent. For an empty mask, the distances are the diagonal of the
      volume, and ``surface_dice`` is 0.
    """
    if not mask.any():
        diagonal = float(np.linalg.norm(np.array(mask.shape) * spacing))
        return {"hd95_mm": diagonal, "assd_mm": diagonal, "surface_dice": 0.0}
    box = _find_box(mask | truth)  # distances between surfaces do not depend on what is around
    first, second = (find_boundary(np.pad(part[box], 1)) for part in (mask, truth))
    distances = np.concatenate(
        [
            np.asarray(ndimage.distance_transform_edt(~other, sampling=spacing))[own]
            for own, other in ((first, second), (second, first))
        ]
    )
    # Distances are sums of squares of multiples of the spacing, rounded: 3 mm must count as 3.
    near = distances <= TOLERANCE * (1 + 1e-9)
    return {
        "hd95_mm": float(np.percentile(distances, 95)),
        "assd_mm": float(np.mean(distances)),
        "surface_dice": 100 * float(np.mean(near)),
    }


def _find_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Find the smallest box that contains a mask that is not empty."""
    sides = []
    for axis in range(mask.ndim):
        others = tuple(other for other in range(mask.ndim) if other != axis)
        places = np.flatnonzero(mask.any(others))
        sides.append(slice(int(places[0]), int(places[-1]) + 1))
    return tuple(sides)
