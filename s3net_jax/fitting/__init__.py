"""Fit a method to one image as a pure function, or to many images at once."""

from s3net_jax.fitting.batch import fit_batch
from s3net_jax.fitting.checks import check_listener
from s3net_jax.fitting.custom import Context, Hooks
from s3net_jax.fitting.data import prepare_data
from s3net_jax.fitting.dataset import fit_dataset, predict
from s3net_jax.fitting.fit import FitResult, fit
from s3net_jax.fitting.hyper import grid, hyperparameters, static_config
from s3net_jax.fitting.initial import initial_params
from s3net_jax.fitting.saving import (
    SavedNetwork,
    describe_differences,
    load_params,
    read_network,
    save_params,
)
from s3net_jax.fitting.sharding import batch_bytes
from s3net_jax.fitting.step import (
    FitState,
    Records,
    make_graph,
    make_optimizer,
    objective,
    train_step,
)
from s3net_jax.fitting.stepwise import compute_state_logits, init, run_steps
from s3net_jax.methods import Forward, Hyper, StepInputs

__all__ = [
    "Context",
    "FitResult",
    "FitState",
    "Forward",
    "Hooks",
    "Hyper",
    "Records",
    "SavedNetwork",
    "StepInputs",
    "batch_bytes",
    "check_listener",
    "compute_state_logits",
    "describe_differences",
    "fit",
    "fit_batch",
    "fit_dataset",
    "grid",
    "hyperparameters",
    "init",
    "initial_params",
    "load_params",
    "make_graph",
    "make_optimizer",
    "objective",
    "predict",
    "prepare_data",
    "read_network",
    "run_steps",
    "save_params",
    "static_config",
    "train_step",
]
