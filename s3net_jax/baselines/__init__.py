"""What a learned method has to beat: trivial segmentations, and a classical recipe."""

from __future__ import annotations

from s3net_jax.baselines.trivial import BASELINES, Prediction, baseline

__all__ = ["BASELINES", "Prediction", "baseline"]
