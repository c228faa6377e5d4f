"""Baselines that a learned method must beat: trivial, classical, and itself without learning."""

from __future__ import annotations

from s3net_jax.baselines.registry import BASELINES, REGION_BASELINES, get_baseline
from s3net_jax.baselines.trivial import Prediction

__all__ = ["BASELINES", "REGION_BASELINES", "Prediction", "get_baseline"]
