"""Estimate masks of volumes, on which nothing was chosen, and compare with the true masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import s3net_jax as s3
from benchmarks.volumes.measures import compute_dsc
from benchmarks.volumes.phantom import draw_phantom
from s3net_jax.masks import measure_neighbours

__all__ = ["measure_true_neighbours", "measure_volumes"]

_FOLDER = "volumes/totalseg_example"
_LUNGS = slice(19, 30)  # slices of the CT that show lungs
_MIDDLE = slice(195, 205)  # slices of the synthetic volume that show lungs
_SIDE = 128  # the synthetic volume is fitted at this size anyway
_FEWEST = 4  # slices of a structure whose neighbours are compared


def _read(path: Path) -> np.ndarray:
    """Read a NIfTI file in RAS+ order as (Z, Y, X), with rows from front to back."""
    import nibabel

    return np.asarray(nibabel.load(path).dataobj).T[:, ::-1]  # pyright: ignore


def measure_volumes(data: Path, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Segment the CT and a synthetic volume in both modes, and estimate the masks.

    Args:
      data: folder of the data sets.
      say: function called with the name of each result.

    Returns:
      For each result its name, mode, target, number of slices, DSC, and the fields of
      :meth:`s3net_jax.masks.Confidence.to_record`.
    """
    folder, phantom = data / _FOLDER, draw_phantom(side=_SIDE)
    values = _read(folder / "example_ct_sm.nii.gz").astype(np.int16)[_LUNGS]
    lungs = _read(folder / "lung_mask_from_seg.nii.gz")[_LUNGS] > 0
    volumes = {
        "CT": (values, lungs),
        "synthetic volume": (phantom.values[_MIDDLE], phantom.truth[_MIDDLE]),
    }
    rows = []
    for name, (pixels, truth) in volumes.items():
        for one_network in (False, True):
            for target in ("auto", "dark"):
                options = {"target": target, "one_network": one_network, "progress": False}
                found = s3.segment_volume(pixels, **options)
                assert found.confidence is not None
                row = {"name": name, "one_network": one_network, "target": target}
                row |= {"slices": len(pixels), "dsc": round(compute_dsc(found.mask, truth), 4)}
                rows.append(row | found.confidence.to_record())
                say(f"segmented {name}, {target}, {'one network' if one_network else 'slices'}")
    return rows


def measure_true_neighbours(data: Path) -> list[dict[str, Any]]:
    """Measure how much slices of true masks agree with their neighbours.

    The masks are the structures of the CT that are in at least four slices, with all slices and
    with every second one.

    Returns:
      For each distance of the slices: the number of structures, and the lowest, the tenth
      percentile and the median of :func:`s3net_jax.masks.measure_neighbours`.
    """
    labels, rows = _read(data / _FOLDER / "example_seg.nii.gz"), []
    for step in (1, 2):
        masks = [labels[::step] == label for label in np.unique(labels)[1:]]
        thick = [mask for mask in masks if np.count_nonzero(mask.any((1, 2))) >= _FEWEST]
        found = np.array([measure_neighbours(mask) for mask in thick])
        low, tenth, middle = np.quantile(found, (0, 0.1, 0.5)).round(3).tolist()
        row = {"step": step, "structures": len(found), "lowest": low, "tenth": tenth}
        rows.append(row | {"median": middle})
    return rows
