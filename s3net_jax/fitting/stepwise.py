"""Run a fit in parts: make its state, run some steps, keep the state, resume."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike

from s3net_jax.checks import check_whole
from s3net_jax.config import Config, check_config
from s3net_jax.fitting.arguments import FitArrays, begin_fit, read_arguments
from s3net_jax.fitting.custom import ExtraLoss, Hooks, Optimizer, Record, make_hooks
from s3net_jax.fitting.hyper import static_config
from s3net_jax.fitting.step import FitState, Records, advance, compute_logits
from s3net_jax.fitting.transforms import Transforms
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.methods import Hyper

__all__ = ["compute_state_logits", "init", "run_steps"]


@use_default_settings()
def init(
    key: Array,
    image: ArrayLike,
    config: Config,
    *,
    hyper: Hyper | None = None,
    params: Any = None,
    transforms: Transforms | None = None,
    extra_loss: ExtraLoss | None = None,
    optimizer: Optimizer | None = None,
    data: Any = None,
) -> FitState:
    """Make the state of a fit before its first step.

    :func:`run_steps` runs any number of steps from a state. The state is a pytree of arrays:
    parameters, the optimiser's own state, the index of the next step and the random key. Saved and
    loaded, it continues the same fit: 3 steps and 3 more equal 6.

    Args:
      key, image, config, hyper, params, transforms, extra_loss, optimizer, data: as for
        :func:`s3net_jax.fit`.

    Returns:
      The :class:`FitState`.

    Raises:
      ValueError, TypeError: as :func:`s3net_jax.fit`.
    """
    arguments = read_arguments(key, image, config, hyper, params, transforms, extra_loss, data)
    return _init(*arguments, static_config(config), make_hooks(optimizer, None))


@use_default_settings()
def run_steps(
    state: FitState,
    config: Config,
    count: int,
    *,
    optimizer: Optimizer | None = None,
    record: Record | None = None,
) -> tuple[FitState, Records]:
    """Run steps of a fit from a state; after an early stop they change nothing.

    One program is compiled for each ``count``.

    Args:
      state: state from :func:`init` or from this function.
      config: the same configuration as for :func:`init`; ``fit.steps`` is not read.
      count: number of steps, at least 1.
      optimizer: the same optimiser as for :func:`init`.
      record: quantities to record, see :func:`s3net_jax.fit`.

    Returns:
      ``(state, records)``: the state after the last step, and the history of these steps.

    Raises:
      ValueError: ``count`` is below 1.
      TypeError: an argument has the wrong type.
    """
    if (count := check_whole("count", count)) < 1:
        raise ValueError(f"count must be at least 1, got {count}.")
    if not isinstance(state, FitState):
        raise TypeError(f"state is a {type(state).__name__}; give a state from fitting.init.")
    hooks = make_hooks(optimizer, record)
    return _run_steps(state, static_config(check_config(config)), count, hooks)


@use_default_settings()
def compute_state_logits(state: FitState, config: Config) -> Array:
    """Compute the (H, W, K) logits of the network in a state; their argmax is the label map."""
    return _compute_logits(state, static_config(check_config(config)))


@partial(jax.jit, static_argnames=("config", "hooks"))
def _init(arrays: FitArrays, image: Array, config: Config, hooks: Hooks) -> FitState:
    return begin_fit(arrays, image, config, hooks)


@partial(jax.jit, static_argnames=("config", "count", "hooks"))
def _run_steps(
    state: FitState, config: Config, count: int, hooks: Hooks
) -> tuple[FitState, Records]:
    return advance(state, config, count, hooks=hooks)


@partial(jax.jit, static_argnames="config")
def _compute_logits(state: FitState, config: Config) -> Array:
    return compute_logits(state, config)
