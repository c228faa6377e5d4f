"""One image: initialise, a scan of SGD steps, the result; a pure function of its arguments."""

from s3net_jax.fit.fit import FitResult, fit, initial_params
from s3net_jax.fit.hyper import Hyper, hyperparameters, static_config
from s3net_jax.fit.objective import objective

__all__ = [
    "FitResult",
    "Hyper",
    "fit",
    "hyperparameters",
    "initial_params",
    "objective",
    "static_config",
]
