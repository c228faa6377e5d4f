"""Hold the numbers of a fit that can change without recompilation, and build grids of them."""

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
    """Weights of the joint loss (equation 7) and settings of SGD: () floats, or arrays to vmap."""

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
    """Reset every field of ``config`` that does not affect the compiled program.

    Configurations that differ only in dynamic numbers, input settings or segment settings then
    share one program.
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
    """Build the Cartesian product of the given values; the last name varies fastest.

    The paper's search over loss weights is one call::

        hyper = s3.grid(config, weight_ce=(1, 1.2), weight_affine=(0.2, 0.3))
        keys = jax.random.split(jax.random.key(0), len(hyper.weight_ce))
        fits = s3.fit_batch(keys, image, config, hyper=hyper)

    Args:
      config: configuration that provides all other numbers.
      **values: sequence of values for each field of :class:`Hyper` to vary.

    Returns:
      A :class:`Hyper` of (B,) floating-point arrays, where B is the number of combinations.

    Raises:
      ValueError: a name is not a field of :class:`Hyper`, or has no values.
      TypeError: the values of a name are not a sequence of numbers.
    """
    base = dataclasses.asdict(hyperparameters(check_config(config)))
    for name in values:
        if name not in base:
            raise ValueError(f"Hyper has no number {name!r} to vary; use {', '.join(base)}.")
    rows = list(itertools.product(*(_read_values(name, given) for name, given in values.items())))
    columns = dict(zip(values, zip(*rows, strict=True), strict=True)) if values else {}
    return Hyper(**{n: jnp.asarray(columns.get(n, [base[n]] * len(rows)), float) for n in base})


def _read_values(name: str, given: Any) -> tuple[Any, ...]:
    try:
        numbers = () if isinstance(given, str) else tuple(given)
        single = all(np.shape(number) == () for number in numbers)
        if isinstance(given, str) or not single or any(isinstance(n, str) for n in numbers):
            raise TypeError
    except (TypeError, ValueError):  # tuple() and np.shape() raise these, too
        raise TypeError(
            f"{name} is {given!r}; give a sequence of numbers, such as {name}=(1, 1.2)."
        ) from None
    if not numbers:
        raise ValueError(f"{name} has no values; give at least one number.")
    return numbers
