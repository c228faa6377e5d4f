"""Estimate how good a mask is, without ground truth and without a further fit."""

from __future__ import annotations

from s3net_jax.masks.confidence.estimate import (
    CHECK_BELOW,
    EVIDENCE,
    WEIGHTS,
    Confidence,
    assess_proposals,
    average_confidence,
    expect_dsc,
)

__all__ = [
    "CHECK_BELOW",
    "EVIDENCE",
    "WEIGHTS",
    "Confidence",
    "assess_proposals",
    "average_confidence",
    "expect_dsc",
]
