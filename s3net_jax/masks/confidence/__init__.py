"""Estimate how good a mask is, without ground truth and without a further fit."""

from __future__ import annotations

from s3net_jax.masks.confidence.calibrations import CALIBRATIONS, CHECK_BELOW, Basis, Calibration
from s3net_jax.masks.confidence.estimate import (
    Confidence,
    assess_proposals,
    average_confidence,
    find_basis,
)
from s3net_jax.masks.confidence.single import assess_mask
from s3net_jax.masks.confidence.slices import join_slices, measure_neighbours

__all__ = [
    "CALIBRATIONS",
    "CHECK_BELOW",
    "Basis",
    "Calibration",
    "Confidence",
    "assess_mask",
    "assess_proposals",
    "average_confidence",
    "find_basis",
    "join_slices",
    "measure_neighbours",
]
