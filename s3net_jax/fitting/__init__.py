"""Fit a method to one image as a pure function, or to many images at once."""

from s3net_jax.fitting.batch import fit_batch
from s3net_jax.fitting.checks import check_listener
from s3net_jax.fitting.custom import Context, Hooks
from s3net_jax.fitting.data import prepare_data
from s3net_jax.fitting.fit import FitResult, fit
from s3net_jax.fitting.hyper import grid, hyperparameters, static_config
from s3net_jax.fitting.initial import initial_params
from s3net_jax.fitting.sharding import batch_bytes
from s3net_jax.fitting.step import (
    FitState,
    Records,
    advance,
    begin,
    compute_logits,
    make_graph,
    make_optimizer,
    objective,
    train_step,
)
from s3net_jax.methods import Forward, Hyper, StepInputs

__all__ = [
    "Context",
    "FitResult",
    "FitState",
    "Forward",
    "Hooks",
    "Hyper",
    "Records",
    "StepInputs",
    "advance",
    "batch_bytes",
    "begin",
    "check_listener",
    "compute_logits",
    "fit",
    "fit_batch",
    "grid",
    "hyperparameters",
    "initial_params",
    "make_graph",
    "make_optimizer",
    "objective",
    "prepare_data",
    "static_config",
    "train_step",
]
