"""Search for loss weights, learning rate and number of steps on a few images."""

from __future__ import annotations

from s3net_jax.experiments.tuning.run import run_tuning
from s3net_jax.experiments.tuning.spec import Tuning, read_tuning

__all__ = ["Tuning", "read_tuning", "run_tuning"]
