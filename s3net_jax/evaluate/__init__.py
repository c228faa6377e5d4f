"""Honest evaluation: metrics, protocols, data sets with ground truth, statistics."""

from __future__ import annotations

from s3net_jax.evaluate.datasets import DATASETS, Pair, pairs_of
from s3net_jax.evaluate.metrics import METRICS, measure
from s3net_jax.evaluate.protocols import PROTOCOLS, scored_masks
from s3net_jax.evaluate.run import Evaluation, evaluate
from s3net_jax.evaluate.statistics import compare, mean_with_interval
from s3net_jax.evaluate.text import scores_of, table_text
from s3net_jax.evaluate.truth import check_truths

__all__ = [
    "DATASETS",
    "METRICS",
    "PROTOCOLS",
    "Evaluation",
    "Pair",
    "check_truths",
    "compare",
    "evaluate",
    "mean_with_interval",
    "measure",
    "pairs_of",
    "scored_masks",
    "scores_of",
    "table_text",
]
