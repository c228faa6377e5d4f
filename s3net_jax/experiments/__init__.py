"""Run experiments described by small files: ablations, comparisons, tuning."""

from __future__ import annotations

from s3net_jax.experiments.data import DataSet, relocate
from s3net_jax.experiments.run import run_grid
from s3net_jax.experiments.spec import Grid, Method, read_grid
from s3net_jax.experiments.tuning import Tuning, read_tuning, run_tuning

__all__ = [
    "DataSet",
    "Grid",
    "Method",
    "Tuning",
    "read_grid",
    "read_tuning",
    "relocate",
    "run_grid",
    "run_tuning",
]
