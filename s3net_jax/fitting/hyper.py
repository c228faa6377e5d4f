"""The numbers of a fit that may change without a recompilation."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
from jax import Array

from s3net_jax.config import Config, InputConfig, LossConfig, SegmentConfig, check_config

__all__ = ["Hyper", "hyperparameters", "static_config"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hyper:
    """Weights of the joint loss (equation 7) and settings of SGD; () floats, or arrays to vmap."""

    weight_ce: float | Array
    weight_affine: float | Array
    weight_spatial: float | Array
    learning_rate: float | Array
    momentum: float | Array


def hyperparameters(config: Config) -> Hyper:
    """The dynamic numbers of ``config``, as Python floats."""
    check_config(config)
    return Hyper(
        weight_ce=config.loss.weight_ce,
        weight_affine=config.loss.weight_affine,
        weight_spatial=config.loss.weight_spatial,
        learning_rate=config.fit.learning_rate,
        momentum=config.fit.momentum,
    )


def static_config(config: Config) -> Config:
    """``config`` with everything that does not shape the compiled program at its default.

    Two configurations that differ only in dynamic numbers, or in how the image is read and
    the labels are used, share one program.
    """
    default_loss, default = LossConfig(), Config()
    loss = dataclasses.replace(
        config.loss,
        weight_ce=default_loss.weight_ce,
        weight_affine=default_loss.weight_affine,
        weight_spatial=default_loss.weight_spatial,
    )
    fit = dataclasses.replace(
        config.fit,
        learning_rate=default.fit.learning_rate,
        momentum=default.fit.momentum,
        members=default.fit.members,
    )
    return dataclasses.replace(
        config, preset="", input=InputConfig(), segment=SegmentConfig(), loss=loss, fit=fit
    )
