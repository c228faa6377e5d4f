"""Draw the starting parameters of a fit, or check given ones."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.config import Config
from s3net_jax.errors import NotNumbersError
from s3net_jax.fitting.checks import convert_array, read_numbers
from s3net_jax.methods import Shape, get_method
from s3net_jax.nn.draws import build_from_pool

__all__ = ["initial_params", "read_params"]


def initial_params(key: Array, config: Config, shape: Shape) -> nnx.State:
    """Draw the starting parameters of a method's network.

    Args:
      key: PRNG key.
      config: configuration of the fit.
      shape: shape of the prepared image, (H, W, C).
    """
    build = get_method(config.method.name).build
    return nnx.state(build_from_pool(lambda rngs: build(config, shape, rngs), key), nnx.Param)


def read_params(params: Any, config: Config, shape: Shape, count: int | None = None) -> Any:
    """Convert starting parameters to a nested dict of arrays with the network's dtypes.

    Args:
      params: state of the network, or nested dict; None returns None.
      config: configuration of the fit.
      shape: shape of the prepared image, (H, W, C).
      count: number of fits; every array of the result then has this leading axis, which arrays of
        ``params`` may have or lack. None for a single fit.

    Raises:
      ValueError: names or shapes differ from the network's.
      TypeError: a leaf does not hold numbers.
    """
    if params is None:
        return None
    given = nnx.to_pure_dict(params) if isinstance(params, nnx.State) else params
    expected = _describe_params(config, shape, jax.dtypes.canonicalize_dtype(float).name)
    if jax.tree.structure(given) != jax.tree.structure(expected):
        raise ValueError(
            "The names of the starting parameters differ from those of the configured network"
            f"{_name_differences(given, expected)}: use the same model configuration for both."
        )

    def read(path: Any, new: Any, old: jax.ShapeDtypeStruct) -> Array:
        name = jax.tree_util.keystr(path)
        try:
            numbers = read_numbers(new)
        except NotNumbersError as error:
            raise TypeError(
                f"The starting parameter {name} is {error}; give an array of numbers."
            ) from None
        every = old.shape if count is None else (count, *old.shape)
        if tuple(numbers.shape) not in (old.shape, every):
            more = "" if count is None else f", or {every} for {count} fits"
            raise ValueError(
                f"The starting parameter {name} has the shape {tuple(numbers.shape)}, but the "
                f"configured network needs {old.shape}{more}."
            )
        array = convert_array(numbers, old.dtype)
        return array if array.shape == every else jnp.broadcast_to(array, every)

    return jax.tree_util.tree_map_with_path(read, given, expected)


@cache
def _describe_params(config: Config, shape: Shape, _float: str) -> Any:
    """Return shapes and dtypes of the parameters, without computing them.

    ``_float`` is part of the cache's key: the dtypes depend on whether JAX has float64 enabled.
    """
    state = jax.eval_shape(lambda: initial_params(jax.random.key(0), config, shape))
    return nnx.to_pure_dict(state)


def _name_differences(given: Any, expected: Any) -> str:
    """List up to three missing and three unknown names, in brackets; "" without differences."""

    def names(tree: Any) -> dict[str, None]:
        paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(tree)]
        return dict.fromkeys(jax.tree_util.keystr(p, simple=True, separator=".") for p in paths)

    def some(what: str, found: list[str]) -> list[str]:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return [f"{what} {', '.join(found[:3])}{more}"] if found else []

    found, wanted = names(given), names(expected)
    parts = some("missing", [n for n in wanted if n not in found])
    parts += some("unknown", [n or "a single value" for n in found if n not in wanted])
    return f" ({'; '.join(parts)})" if parts else ""
