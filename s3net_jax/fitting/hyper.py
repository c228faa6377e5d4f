"""Hold the numbers of a fit that can change without recompilation, and build grids of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from s3net_jax.config import Config, InputConfig, LossConfig, SegmentConfig, check_config
from s3net_jax.methods import Hyper

__all__ = ["Hyper", "grid", "hyperparameters", "static_config"]


def hyperparameters(config: Config) -> Hyper:
    """Return the dynamic numbers of ``config``, as Python floats."""
    check_config(config)
    return Hyper(
        weight_ce=config.loss.weight_ce,
        weight_affine=config.loss.weight_affine,
        weight_spatial=config.loss.weight_spatial,
        learning_rate=config.fit.learning_rate,
        momentum=config.fit.momentum,
        own={name: getattr(config.method, name) for name in config.method.weights},
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
        volume=default.fit.volume,
        slices=default.fit.slices,
    )
    defaults = type(config.method)()
    weights = {name: getattr(defaults, name) for name in config.method.weights}
    method = dataclasses.replace(config.method, **weights)
    # The size decides the image's shape anyway, and some methods accept few sizes.
    is_any_size = config.method.name == "s3net"
    size = {} if is_any_size else {"size": config.input.size, "aspect": config.input.aspect}
    return dataclasses.replace(
        config,
        preset="",
        input=InputConfig(**size),
        segment=SegmentConfig(),
        loss=loss,
        fit=fit,
        method=method,
    )


def grid(config: Config, **values: Sequence[float]) -> Hyper:
    """Build the Cartesian product of the given values; the last name varies fastest.

    The paper's search over loss weights is one call::

        hyper = s3.grid(config, weight_ce=(1, 1.2), weight_affine=(0.2, 0.3))
        keys = jax.random.split(jax.random.key(0), len(hyper.weight_ce))
        fits = s3.fit_batch(keys, image, config, hyper=hyper)

    Args:
      config: configuration that provides all other numbers.
      **values: sequence of values for each field of :class:`Hyper` to vary, or for each loss weight
        of the method.

    Returns:
      A :class:`Hyper` of (B,) floating-point arrays, where B is the number of combinations.

    Raises:
      ValueError: a name is not a field of :class:`Hyper`, or has no values.
      TypeError: the values of a name are not a sequence of numbers.
    """
    numbers = dataclasses.asdict(hyperparameters(check_config(config)))
    own = numbers.pop("own")
    base = {**numbers, **own}
    for name in values:
        if name not in base:
            raise ValueError(f"Hyper has no number {name!r} to vary; use {', '.join(base)}.")
    rows = list(itertools.product(*(_read_values(name, given) for name, given in values.items())))
    columns = dict(zip(values, zip(*rows, strict=True), strict=True)) if values else {}
    arrays = {n: jnp.asarray(columns.get(n, [base[n]] * len(rows)), float) for n in base}
    return Hyper(**{n: arrays[n] for n in numbers}, own={n: arrays[n] for n in own})


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
