"""What a caller adds to a fit: a custom term of the loss, an optimiser, quantities to record."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array
from jax.tree_util import Partial

from s3net_jax.errors import NotNumbersError
from s3net_jax.fitting.checks import convert_array, read_numbers
from s3net_jax.methods import Forward, Hyper, Method, StepInputs

__all__ = [
    "NO_HOOKS",
    "Context",
    "ExtraLoss",
    "Hooks",
    "Optimizer",
    "Record",
    "add_extra",
    "check_bound",
    "check_hooks",
    "compute_record",
    "make_hooks",
    "read_extra",
    "read_partial",
]

ExtraLoss = Callable[..., Array]
"""``(logits (H, W, K), labels (H, W) int32, image (H, W, C)) -> ()``: a function of the logits, the
pseudo label and the prepared image of one fit. A function with a parameter ``context`` is passed a
:class:`Context` under that name."""

Record = Callable[["Context"], dict[str, Any]]
"""``(context) -> {name: array}``: quantities to keep of every step."""

Optimizer = optax.GradientTransformation | Callable[[Hyper], optax.GradientTransformation]
"""An optimiser, or a function that makes one from a fit's dynamic numbers."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Context:
    """The forward pass of one image in one step, for custom terms and records; a pytree.

    Attributes:
      image: (H, W, C) prepared image.
      logits: (H, W, K) logits before the update.
      labels: (H, W) int32 pseudo label.
      features: (H, W, F) features that the head reads, or None if the method names none.
      auxiliary: (H, W, K) logits of the second path, or None.
      params: parameters of the network before the update, a state of its module.
      step: () int32 index of the step, from 0.
    """

    image: Array
    logits: Array
    labels: Array
    features: Array | None
    auxiliary: Array | None
    params: Any
    step: Array | None


@dataclass(frozen=True)
class Hooks:
    """Static functions of a fit, compared by identity: each new one compiles another program.

    Attributes:
      optimizer: optimiser that replaces the method's, or None.
      record: function of further quantities to record, or None.
    """

    optimizer: Any = None
    record: Any = None


NO_HOOKS = Hooks()


def make_hooks(optimizer: Optimizer | None, record: Record | None) -> Hooks:
    """Check the functions of a caller.

    Raises:
      TypeError: ``optimizer`` is neither an optax transformation nor callable, or ``record`` is not
        callable.
    """
    is_transformation = hasattr(optimizer, "init") and hasattr(optimizer, "update")
    if optimizer is not None and not is_transformation and not callable(optimizer):
        raise TypeError(
            f"optimizer is a {type(optimizer).__name__}; give an optax.GradientTransformation, "
            "such as optax.adam(1e-2), or a function of the fit's Hyper that returns one."
        )
    if record is not None and not callable(record):
        raise TypeError(
            f"record is a {type(record).__name__}; give a function of a Context that returns a "
            "dict of arrays."
        )
    return Hooks(optimizer, record)


def check_hooks(method: Method, hooks: Hooks, extra: Partial | None) -> None:
    """Raise ValueError for functions that a method with a custom step does not use."""
    if method.step is None:
        return
    given = {"optimizer": hooks.optimizer, "extra_loss": extra, "record": hooks.record}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"The method {method.name} does not support {name}, because it defines its own "
                f"training step. Drop {name}."
            )


def add_extra(result: Forward, model: nnx.Module, inputs: StepInputs) -> Forward:
    """Add the custom term of ``inputs`` to the loss and the terms of ``result``.

    Raises:
      ValueError: the term does not return a single number.
    """
    if inputs.extra is None:
        return result
    term, images = inputs.extra, inputs.images
    wants_context = _takes_context(getattr(term, "func", term))

    def evaluate(context: Context) -> Array:
        more = {"context": context} if wants_context else {}
        return jnp.asarray(term(context.logits, context.labels, context.image, **more))

    values = _map_contexts(evaluate, result, model, inputs)
    if values.ndim != 1:
        raise ValueError(
            f"extra_loss must return one number, got an array of the shape {values.shape[1:]}."
        )
    extra = jnp.mean(values.astype(images.dtype))
    return Forward(
        loss=result.loss + extra,
        terms={**result.terms, "extra": extra},
        labels=result.labels,
        logits=result.logits,
        features=result.features,
        auxiliary=result.auxiliary,
    )


def compute_record(
    record: Record, result: Forward, model: nnx.Module, inputs: StepInputs
) -> dict[str, Array]:
    """Compute the quantities of ``record`` for the image of a fit.

    Raises:
      TypeError: ``record`` does not return a dict of arrays.
      ValueError: a name is that of a quantity which every fit records.
    """
    values = _map_contexts(record, result, model, inputs)
    if not isinstance(values, dict):
        raise TypeError(f"record returned a {type(values).__name__}; it must return a dict.")
    taken = {"loss", "labels", "extra", *result.terms}
    for name in values:
        if name in taken:
            raise ValueError(f"record can't use the name {name!r}, which the history has already.")
    return jax.tree.map(lambda value: jax.lax.stop_gradient(jnp.asarray(value)[0]), values)


def _map_contexts(
    function: Callable[[Context], Any], result: Forward, model: nnx.Module, inputs: StepInputs
) -> Any:
    """Map ``function`` over the N images of a forward pass."""
    params, images = nnx.state(model, nnx.Param), inputs.images

    def call(image, logits, labels, features, auxiliary):
        context = Context(image, logits, labels, features, auxiliary, params, inputs.step)
        return function(context)

    logits = result.logits.astype(images.dtype)
    return jax.vmap(call)(images, logits, result.labels, result.features, result.auxiliary)


@cache
def _takes_context(function: Callable[..., Any]) -> bool:
    """Return whether ``function`` has a parameter ``context``."""
    try:
        return "context" in inspect.signature(function).parameters
    except (TypeError, ValueError):  # built-in functions may have no signature
        return False


def read_extra(term: ExtraLoss | None, dtype: jnp.dtype) -> Partial | None:
    """Convert ``term`` to a ``Partial``: a static function with its bound arrays as leaves.

    The bound arrays can be vmapped and differentiated.

    Args:
      term: function, ``Partial`` with bound arrays, or None.
      dtype: dtype for bound Python floats, which have none.

    Raises:
      TypeError: ``term`` is not callable, or binds something other than arrays and numbers.
    """
    if term is None:
        return None
    if not callable(term):
        raise TypeError(
            f"extra_loss is a {type(term).__name__}; give a function of logits, labels and image."
        )
    return read_partial("extra_loss", term, dtype)


def read_partial(name: str, function: Callable[..., Any], dtype: jnp.dtype) -> Partial:
    """Convert a function to a ``Partial``, and its bound numbers to arrays.

    Args:
      name: name of the argument, for errors.
      function: function, or ``Partial`` with bound arrays.
      dtype: dtype for bound Python floats, which have none.

    Raises:
      TypeError: the function binds something other than arrays and numbers.
    """
    if not isinstance(function, Partial):
        return Partial(function)
    return jax.tree.map(lambda leaf: _read_bound(name, leaf, dtype), function)


def check_bound(name: str, function: Partial | None, count: int | None) -> Partial | None:
    """Return ``function``; raise ValueError unless its arrays have a leading axis of ``count``.

    Args:
      name: name of the argument, for errors.
      function: function with bound arrays, or None.
      count: number of fits; None for a single fit, whose arrays have any shape.
    """
    for leaf in [] if count is None else jax.tree.leaves(function):
        if jnp.shape(leaf)[:1] != (count,):
            raise ValueError(
                f"{name} binds an array of the shape {jnp.shape(leaf)}; its first axis must "
                f"have one entry for each of the {count} fits."
            )
    return function


def _read_bound(name: str, leaf: Any, dtype: jnp.dtype) -> Array:
    given = getattr(leaf, "dtype", None)
    if given is not None and jnp.issubdtype(given, jax.dtypes.prng_key):
        return leaf
    if isinstance(leaf, bool) or str(given) == "bool":
        return convert_array(leaf if isinstance(leaf, Array) else np.asarray(leaf), bool)
    try:
        numbers = read_numbers(leaf)
    except NotNumbersError as error:
        raise TypeError(
            f"{name} binds {error}, but jax.tree_util.Partial takes only arrays and numbers: "
            "bind anything else with functools.partial."
        ) from None
    scalar = isinstance(leaf, float | np.floating) or getattr(numbers, "weak_type", False)
    if scalar and jnp.issubdtype(numbers.dtype, jnp.floating):
        return convert_array(numbers, dtype)
    return convert_array(numbers, jax.dtypes.canonicalize_dtype(numbers.dtype))
