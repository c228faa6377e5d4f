"""Draw the starting parameters of a fit, and the palette of the hard spatial loss."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.config import ModelConfig
from s3net_jax.errors import NotNumbersError
from s3net_jax.fitting.checks import convert_array, read_numbers
from s3net_jax.nn import S3Net
from s3net_jax.nn.draws import build_from_pool

__all__ = ["draw_palette", "initial_params", "read_params"]

# Luma weights of ITU-R BT.601, which OpenCV uses to convert colours to grey.
_LUMA = (0.299, 0.587, 0.114)


def initial_params(key: Array, config: ModelConfig, shape: tuple[int, int]) -> nnx.State:
    """Draw the starting parameters of :class:`S3Net`.

    Args:
      key: PRNG key.
      config: configuration of the network.
      shape: image size, (H, W); used only with ``deform="free"``.
    """
    return nnx.state(build_from_pool(lambda rngs: S3Net(config, shape, rngs=rngs), key), nnx.Param)


def draw_palette(key: Array, count: int, dtype: Any) -> Array:
    """Draw a grey value for each label, for the hard spatial loss.

    As in the released code, each value is the grey of a random colour of three bytes. Such a
    weighted mean varies less than a single channel: two values differ by 0.22 on average, compared
    to 0.33 for values from U[0, 1), and the loss is proportional to that difference.

    Args:
      key: PRNG key.
      count: number of labels, K.
      dtype: dtype of the values.

    Returns:
      (count,) values in [0, 1].
    """
    colors = jax.random.randint(key, (count, 3), 0, 256).astype(dtype)
    return jnp.sum(colors * jnp.asarray(_LUMA, dtype), -1) / 255


def read_params(params: Any, config: ModelConfig, shape: tuple[int, int]) -> Any:
    """Convert starting parameters to a nested dict of arrays with the network's dtypes.

    Args:
      params: state of S3Net, or nested dict; None returns None.
      config: configuration of the network.
      shape: image size, (H, W).

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
        if tuple(numbers.shape) != old.shape:
            raise ValueError(
                f"The starting parameter {name} has the shape {tuple(numbers.shape)}, but the "
                f"configured network needs {old.shape}."
            )
        return convert_array(numbers, old.dtype)

    return jax.tree_util.tree_map_with_path(read, given, expected)


@cache
def _describe_params(config: ModelConfig, shape: tuple[int, int], _float: str) -> Any:
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
