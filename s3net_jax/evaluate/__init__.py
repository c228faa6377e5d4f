"""Honest evaluation: metrics, protocols, data sets with ground truth, statistics."""

from __future__ import annotations

from s3net_jax.evaluate.datasets import DATASETS, Pair, pairs_of
from s3net_jax.evaluate.metrics import METRICS, measure
from s3net_jax.evaluate.protocols import PROTOCOLS, scored_masks
from s3net_jax.evaluate.run import Evaluation, evaluate
from s3net_jax.evaluate.statistics import compare, mean_with_interval
from s3net_jax.evaluate.text import table_text

__all__ = [
    "DATASETS",
    "METRICS",
    "PROTOCOLS",
    "Evaluation",
    "Pair",
    "compare",
    "evaluate",
    "mean_with_interval",
    "measure",
    "pairs_of",
    "scored_masks",
    "table_text",
]
