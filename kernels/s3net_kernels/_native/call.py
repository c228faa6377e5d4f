"""Calling the library's handlers through ``jax.ffi``."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s3net_kernels._dispatch import platform_of
from s3net_kernels._native.library import load
from s3net_kernels._varying import vary, varying

__all__ = [
    "call",
    "packed_columns",
    "reduced",
    "scratch_dtype",
    "storage_dtype",
    "unavailable",
    "unsupported",
]


def unavailable() -> str | None:
    """Why the kernels can serve nothing on this machine, or None."""
    library = load()
    return library if isinstance(library, str) else None


def unsupported(*arrays: Any) -> str | None:
    """Why the kernels decline a call on these arrays, or None."""
    if any(array is not None and array.shape[-1:] == (0,) for array in arrays):
        return "an array has no channels"
    platform = platform_of(*arrays)
    return None if platform == "cpu" else f"it runs on the CPU, and the call on a {platform}"


@functools.cache
def _register(handler: str) -> str:
    """Make a handler of the library known to XLA; returns the name of its target."""
    library = load()
    if isinstance(library, str):
        raise RuntimeError(f"The native kernels are not there: {library}.")
    target = f"s3net_kernels.{handler}"
    jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(library[f"s3n_{handler}"]), "cpu")
    return target


def call(
    handler: str,
    results: Sequence[tuple[tuple[int, ...], Any]],
    *operands: Array,
    **attributes: Any,
) -> list[Array]:
    """Call a handler; every operand and result may have leading batch axes added by ``vmap``.

    Args:
      handler: its name in the library, without ``s3n_``.
      results: (shape, dtype) of each result.
      operands: as the handler expects them.
      attributes: numbers, or sequences of integers, which the handler receives flat.
    """
    target = _register(handler)
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in results]
    function = jax.ffi.ffi_call(target, shapes, vmap_method="expand_dims")
    found = function(*operands, **{name: _attribute(n) for name, n in attributes.items()})
    return list(vary(found, varying(operands)))


def _attribute(value: Any) -> Any:
    if isinstance(value, float):
        return np.float64(value)
    return np.int64(value) if isinstance(value, int) else np.asarray(value, np.int64).reshape(-1)


def storage_dtype(x: Array, compute: Any) -> jnp.dtype:
    """The dtype the kernels read and write x in, when they compute in ``compute``.

    bfloat16 is widened and narrowed inside them; any other dtype is converted to ``compute``.
    """
    narrow = x.dtype == jnp.bfloat16 and compute == jnp.float32
    return jnp.dtype(x.dtype if narrow else compute)


def scratch_dtype(kind: Any) -> jnp.dtype:
    """Of results that are working memory for sums in ``kind``: an integer as wide.

    What is left in them is no number, which ``jax_debug_nans`` would look for.
    """
    return jnp.dtype(f"int{8 * jnp.dtype(kind).itemsize}")


def reduced(precision: str | None = None) -> int:
    """Whether products of float32 may round their factors to bfloat16: 1 or 0.

    Args:
      precision: of the call; None takes ``jax.default_matmul_precision``.
    """
    chosen = precision or jax.config.jax_default_matmul_precision  # pyright: ignore
    return int(str(chosen).lower() in ("bfloat16", "bf16_bf16_f32"))


def packed_columns(columns: int) -> int:
    """Columns that a matrix takes when repacked into panels, whatever the instruction set."""
    return -(-columns // 64) * 64
