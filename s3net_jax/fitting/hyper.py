"""The numbers of a fit that may change without a recompilation, and grids of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s3net_jax.config import Config, InputConfig, LossConfig, SegmentConfig, check_config

__all__ = ["Hyper", "grid", "hyperparameters", "static_config"]


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
    """Return the dynamic numbers of ``config``, as Python floats."""
    check_config(config)
    return Hyper(
        weight_ce=config.loss.weight_ce,
        weight_affine=config.loss.weight_affine,
        weight_spatial=config.loss.weight_spatial,
        learning_rate=config.fit.learning_rate,
        momentum=config.fit.momentum,
    )


def static_config(config: Config) -> Config:
    """Set everything in ``config`` that does not shape the compiled program to its default.

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


def grid(config: Config, **values: Sequence[float]) -> Hyper:
    """Combine the given values in every way, the last name varying fastest.

    The paper's search over the weights of the losses is one call::

        hyper = s3.grid(config, weight_ce=(1, 1.2), weight_affine=(0.2, 0.3))
        keys = jax.random.split(jax.random.key(0), len(hyper.weight_ce))
        fits = s3.fit_batch(keys, image, config, hyper=hyper)

    Args:
      config: configuration with every number that is not named.
      **values: fields of :class:`Hyper`, each with its values.

    Returns:
      A :class:`Hyper` of (B,) floating point arrays, B the product of the numbers of values.

    Raises:
      ValueError: a name that is no field, or no values.
      TypeError: values that are no sequence of numbers.
    """
    base = dataclasses.asdict(hyperparameters(check_config(config)))
    for name in values:
        if name not in base:
            raise ValueError(f"There is no number {name!r} to vary: take {', '.join(base)}.")
    rows = list(itertools.product(*(_read_values(name, given) for name, given in values.items())))
    columns = dict(zip(values, zip(*rows, strict=True), strict=True)) if values else {}
    return Hyper(**{n: jnp.asarray(columns.get(n, [base[n]] * len(rows)), float) for n in base})


def _read_values(name: str, given: Any) -> tuple[Any, ...]:
    try:
        numbers = () if isinstance(given, str) else tuple(given)
        single = all(np.shape(number) == () for number in numbers)
        if isinstance(given, str) or not single or any(isinstance(n, str) for n in numbers):
            raise TypeError
    except (TypeError, ValueError):  # also of what can't be iterated over
        raise TypeError(
            f"{name} is {given!r}: give a sequence of numbers, such as {name}=(1, 1.2)."
        ) from None
    if not numbers:
        raise ValueError(f"{name} has no values.")
    return numbers
