"""Evaluate segmentations: metrics, protocols, data sets with ground truth, statistics."""

from __future__ import annotations

from s3net_jax.evaluate.check import Checked, check_folder
from s3net_jax.evaluate.datasets import DATASETS, Layout, Pair, find_pairs
from s3net_jax.evaluate.geometry import Grid
from s3net_jax.evaluate.metrics import METRICS, dsc, measure
from s3net_jax.evaluate.protocols import PROTOCOLS, select_scored_masks
from s3net_jax.evaluate.regions import measure_regions, split_components
from s3net_jax.evaluate.report import write_report
from s3net_jax.evaluate.run import Evaluation, evaluate
from s3net_jax.evaluate.scores import STANDARD_BASELINES, Score, score_baselines, summarise
from s3net_jax.evaluate.statistics import Mean, compare, estimate_mean
from s3net_jax.evaluate.surfaces import measure_surfaces
from s3net_jax.evaluate.text import collect_scores, format_table
from s3net_jax.evaluate.truth import check_all, check_truths, read_segmentations, read_truth

__all__ = [
    "DATASETS",
    "METRICS",
    "PROTOCOLS",
    "STANDARD_BASELINES",
    "Checked",
    "Evaluation",
    "Grid",
    "Layout",
    "Mean",
    "Pair",
    "Score",
    "check_all",
    "check_folder",
    "check_truths",
    "collect_scores",
    "compare",
    "dsc",
    "estimate_mean",
    "evaluate",
    "find_pairs",
    "format_table",
    "measure",
    "measure_regions",
    "measure_surfaces",
    "read_segmentations",
    "read_truth",
    "score_baselines",
    "select_scored_masks",
    "split_components",
    "summarise",
    "write_report",
]
