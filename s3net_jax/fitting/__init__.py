"""One image: initialise, a scan of SGD steps, the result; a pure function of its arguments."""

from s3net_jax.fitting.fit import FitResult, fit, initial_params
from s3net_jax.fitting.hyper import Hyper, hyperparameters, static_config
from s3net_jax.fitting.objective import objective
from s3net_jax.fitting.step import optimizer, train_step

__all__ = [
    "FitResult",
    "Hyper",
    "fit",
    "hyperparameters",
    "initial_params",
    "objective",
    "optimizer",
    "static_config",
    "train_step",
]
