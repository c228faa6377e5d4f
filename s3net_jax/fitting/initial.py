"""The parameters that a fit starts from."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
from flax import nnx
from jax import Array

from s3net_jax.config import ModelConfig
from s3net_jax.errors import NotNumbersError
from s3net_jax.fitting.arrays import read_numbers, to_array
from s3net_jax.nn import S3Net
from s3net_jax.nn.draws import pooled

__all__ = ["initial_params", "read_params"]


def initial_params(key: Array, config: ModelConfig, shape: tuple[int, int]) -> nnx.State:
    """The parameters a network starts from: the ``params`` of :class:`S3Net` for ``key``.

    Args:
      key: a PRNG key.
      config: the network.
      shape: (H, W) of the image; matters only for ``deform="free"``.
    """
    return nnx.state(pooled(lambda rngs: S3Net(config, shape, rngs=rngs), key), nnx.Param)


def read_params(params: Any, config: ModelConfig, shape: tuple[int, int]) -> Any:
    """Given starting parameters as a nested dict of arrays of the network's dtypes.

    Args:
      params: a state of S3Net, or a nested dict; None gives None.
      config: the network.
      shape: (H, W) of the image.

    Raises:
      ValueError: other names or shapes than the network has.
      TypeError: a leaf that holds no numbers.
    """
    if params is None:
        return None
    given = nnx.to_pure_dict(params) if isinstance(params, nnx.State) else params
    expected = _expected(config, shape, jax.dtypes.canonicalize_dtype(float).name)
    if jax.tree.structure(given) != jax.tree.structure(expected):
        raise ValueError(
            "The starting parameters have other names than the configured network has"
            f"{_differences(given, expected)}: make both from the same model configuration."
        )

    def read(path: Any, new: Any, old: jax.ShapeDtypeStruct) -> Array:
        name = jax.tree_util.keystr(path)
        try:
            numbers = read_numbers(new)
        except NotNumbersError as error:
            raise TypeError(
                f"The starting parameter {name} is {error}: give an array of numbers."
            ) from None
        if tuple(numbers.shape) != old.shape:
            raise ValueError(
                f"The starting parameter {name} has the shape {tuple(numbers.shape)}, the "
                f"configured network needs {old.shape}."
            )
        return to_array(numbers, old.dtype)

    return jax.tree_util.tree_map_with_path(read, given, expected)


@cache
def _expected(config: ModelConfig, shape: tuple[int, int], _float: str) -> Any:
    """Shapes and dtypes of the parameters; ``_float`` is JAX's widest float, which decides too."""
    state = jax.eval_shape(lambda: initial_params(jax.random.key(0), config, shape))
    return nnx.to_pure_dict(state)


def _differences(given: Any, expected: Any) -> str:
    """Names that one of two trees has alone, a few of them, in brackets."""

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
