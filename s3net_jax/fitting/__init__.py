"""Fit S3-Net to one image as a pure function, or to many images at once."""

from s3net_jax.fitting.batch import fit_batch
from s3net_jax.fitting.checks import check_listener
from s3net_jax.fitting.fit import FitResult, fit
from s3net_jax.fitting.hyper import Hyper, grid, hyperparameters, static_config
from s3net_jax.fitting.initial import initial_params
from s3net_jax.fitting.objective import StepInputs, objective
from s3net_jax.fitting.sharding import batch_bytes
from s3net_jax.fitting.step import optimizer, train_step

__all__ = [
    "FitResult",
    "Hyper",
    "StepInputs",
    "batch_bytes",
    "check_listener",
    "fit",
    "fit_batch",
    "grid",
    "hyperparameters",
    "initial_params",
    "objective",
    "optimizer",
    "static_config",
    "train_step",
]
