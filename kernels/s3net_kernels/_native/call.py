"""Call the library's handlers through ``jax.ffi``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels._native.library import load
from s3net_kernels._platform import find_platform
from s3net_kernels._varying import find_axes, vary, zeros

__all__ = [
    "call",
    "choose_scratch_dtype",
    "choose_storage_dtype",
    "convert",
    "count_packed_columns",
    "rounds_factors",
    "supports",
    "unavailable",
]


_O = TypeVar("_O", bound=Any)


def unavailable() -> str | None:
    """Return why the kernels cannot serve any call on this machine, or None."""
    library = load()
    return library if isinstance(library, str) else None


def supports(*operands: Any) -> str | None:
    """Return why the kernels decline a call on the arrays in ``operands``, or None."""
    arrays = jax.tree.leaves(operands)
    if any(array.shape[-1:] == (0,) for array in arrays):
        return "an array has no channels"
    platform = find_platform(*arrays)
    return None if platform == "cpu" else f"it runs on the CPU, but the call is on {platform}"


@functools.cache
def _register(handler: str) -> str:
    """Register a handler of the library with XLA; return the name of its target."""
    library = load()
    if isinstance(library, str):
        raise RuntimeError(f"The native kernels are not available: {library}.")
    target = f"s3net_kernels.{handler}"
    jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(library[f"s3n_{handler}"]), "cpu")
    return target


def call(
    handler: str,
    results: Sequence[tuple[tuple[int, ...], Any]],
    *operands: Any,
    **attributes: Any,
) -> list[Array]:
    """Call a handler; ``vmap`` may add leading batch axes to every operand and result.

    Args:
      handler: name of the handler in the library, without ``s3n_``.
      results: (shape, dtype) of each result.
      operands: arrays that the handler expects.
      attributes: numbers, or sequences of integers that the handler receives flat.

    Returns:
      The results, in order.
    """
    target = _register(handler)
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in results]
    function = jax.ffi.ffi_call(target, shapes, vmap_method="expand_dims")
    found = function(*operands, **{name: _attribute(n) for name, n in attributes.items()})
    return list(vary(found, find_axes(operands)))


def _attribute(value: Any) -> Any:
    if isinstance(value, float):
        return np.float64(value)
    return np.int64(value) if isinstance(value, int) else np.asarray(value, np.int64).reshape(-1)


def convert(operands: _O) -> _O:
    """Convert operands to the dtypes that the kernels accept.

    ``x`` and ``residual`` get the storage dtype of images, all other arrays the compute dtype.
    ``precision`` becomes the one in force, and a missing bias ``b`` becomes zeros.
    """
    kind = compute_dtype(operands)
    storage = choose_storage_dtype(operands.x, kind)
    changes = {}
    for field in dataclasses.fields(operands):
        value = getattr(operands, field.name)
        if field.name == "precision":
            changes["precision"] = "bfloat16" if rounds_factors(value) else None
        elif field.name == "b" and value is None:
            changes["b"] = zeros(operands.w.shape[-1:], kind, operands.x)
        elif not field.metadata:
            dtype = storage if field.name in ("x", "residual") else kind
            changes[field.name] = jax.tree.map(lambda a, dtype=dtype: a.astype(dtype), value)
    return operands.replace(**changes)


def choose_storage_dtype(x: Array, compute: Any) -> jnp.dtype:
    """Choose the dtype in which kernels that compute in ``compute`` read and write ``x``.

    The kernels widen and narrow bfloat16 themselves; other dtypes are converted to ``compute``.
    """
    narrow = x.dtype == jnp.bfloat16 and compute == jnp.float32
    return jnp.dtype(x.dtype if narrow else compute)


def choose_scratch_dtype(kind: Any) -> jnp.dtype:
    """Choose the dtype of scratch results for sums in ``kind``: an integer of the same width.

    Scratch is never initialised, and ``jax_debug_nans`` would report the NaNs in floating point.
    """
    return jnp.dtype(f"int{8 * jnp.dtype(kind).itemsize}")


def rounds_factors(precision: str | None = None) -> bool:
    """Return whether float32 products may round their factors to bfloat16.

    Args:
      precision: precision of the call; None selects ``jax.default_matmul_precision``.
    """
    chosen = precision or jax.config.jax_default_matmul_precision  # pyright: ignore
    return str(chosen).lower() in ("bfloat16", "bf16_bf16_f32")


def count_packed_columns(columns: int) -> int:
    """Return the columns of a matrix repacked into panels, the same for every instruction set."""
    return -(-columns // 64) * 64
