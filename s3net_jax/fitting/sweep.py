"""Grids of hyperparameters, for one vmapped program over all of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from s3net_jax.config import Config, check_config
from s3net_jax.fitting.hyper import Hyper, hyperparameters

__all__ = ["grid"]


def grid(config: Config, **values: Sequence[float]) -> Hyper:
    """All combinations of the given values, the last name varying fastest.

    The paper's search over the weights of the losses is one call::

        hyper = s3.grid(config, weight_ce=(1, 1.2), weight_affine=(0.2, 0.3))
        keys = jax.random.split(jax.random.key(0), len(hyper.weight_ce))
        fits = s3.fit_batch(keys, image, config, hyper=hyper)

    Args:
      config: gives every number that is not named.
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
    rows = list(itertools.product(*(_numbers(name, given) for name, given in values.items())))
    columns = dict(zip(values, zip(*rows, strict=True), strict=True)) if values else {}
    return Hyper(**{n: jnp.asarray(columns.get(n, [base[n]] * len(rows)), float) for n in base})


def _numbers(name: str, given: Any) -> tuple[Any, ...]:
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
