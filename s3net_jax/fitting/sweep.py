"""Grids of hyperparameters, for one vmapped program over all of them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import jax.numpy as jnp

from s3net_jax.config import Config
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
    """
    base = dataclasses.asdict(hyperparameters(config))
    for name, given in values.items():
        if name not in base:
            raise ValueError(f"There is no number {name!r} to vary: take {', '.join(base)}.")
        if len(given) == 0:
            raise ValueError(f"{name} has no values.")
    rows = list(itertools.product(*values.values()))
    columns = dict(zip(values, zip(*rows, strict=True), strict=True)) if values else {}
    return Hyper(**{n: jnp.asarray(columns.get(n, [base[n]] * len(rows)), float) for n in base})
