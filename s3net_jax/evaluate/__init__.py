"""Honest evaluation: metrics, protocols, data sets with ground truth, statistics."""

from __future__ import annotations

from s3net_jax.evaluate.check import Checked, check_folder
from s3net_jax.evaluate.datasets import DATASETS, Pair, find_pairs
from s3net_jax.evaluate.geometry import Grid
from s3net_jax.evaluate.metrics import METRICS, dsc, measure
from s3net_jax.evaluate.protocols import PROTOCOLS, scored_masks
from s3net_jax.evaluate.report import write_report
from s3net_jax.evaluate.run import Evaluation, evaluate
from s3net_jax.evaluate.scores import Score, score_baselines, summarise
from s3net_jax.evaluate.statistics import Mean, compare, mean_with_interval
from s3net_jax.evaluate.text import collect_scores, table_text
from s3net_jax.evaluate.truth import check_all, check_truths, read_truth

__all__ = [
    "DATASETS",
    "METRICS",
    "PROTOCOLS",
    "Checked",
    "Evaluation",
    "Grid",
    "Mean",
    "Pair",
    "Score",
    "check_all",
    "check_folder",
    "check_truths",
    "collect_scores",
    "compare",
    "dsc",
    "evaluate",
    "find_pairs",
    "mean_with_interval",
    "measure",
    "read_truth",
    "score_baselines",
    "scored_masks",
    "summarise",
    "table_text",
    "write_report",
]
