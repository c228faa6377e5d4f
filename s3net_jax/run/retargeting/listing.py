"""List the clusters of results, with the numbers that targets name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from s3net_jax.errors import InputError
from s3net_jax.run.arrays import read_array
from s3net_jax.run.retargeting.folder import Results

__all__ = ["Cluster", "Listing", "list_clusters"]


@dataclass(frozen=True)
class Cluster:
    """One cluster of a result.

    Attributes:
      label: its number.
      share: fraction of the pixels or voxels, in (0, 1].
      target: fraction of the cluster that the present mask covers, in [0, 1].
      place: (x, y) of the pixel that is farthest from other clusters; None for a volume.
    """

    label: int
    share: float
    target: float
    place: tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Listing:
    """The clusters of a result.

    Attributes:
      labels: label map without the target, in the axis order of its file.
      clusters: its clusters by label.
    """

    labels: np.ndarray
    clusters: list[Cluster]


def list_clusters(results: Results, stem: str) -> Listing:
    """Measure the clusters from which :func:`choose_again` chooses.

    Args:
      results: opened output folder.
      stem: name of the result.

    Raises:
      InputError: a file is missing or damaged.
    """
    record = results.get(stem)
    results.check(record)
    outputs = record.get("outputs", {})
    labels = read_array(results.folder / outputs.get("clusters", outputs["labels"]))
    mask = read_array(results.folder / outputs["mask"]) > 0
    if labels.shape != mask.shape:
        raise InputError(f"The label map and the mask of {stem} have different sizes.")
    labels = labels.astype(np.int32)
    areas = np.bincount(labels.ravel())
    covered = np.bincount(labels.ravel(), mask.ravel())
    clusters = [
        Cluster(
            int(label),
            areas[label] / labels.size,
            covered[label] / areas[label],
            _find_middle(labels == label) if labels.ndim == 2 else None,
        )
        for label in np.flatnonzero(areas)
    ]
    return Listing(labels, clusters)


def _find_middle(cluster: np.ndarray) -> tuple[int, int]:
    """Return (x, y) of the pixel of ``cluster`` that is farthest from its border."""
    depth = np.asarray(ndimage.distance_transform_edt(np.pad(cluster, 1)))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(x), int(y)
