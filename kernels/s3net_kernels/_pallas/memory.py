"""Access memory with masks inside a kernel, and compute indices and blocks."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array, lax

from s3net_kernels._config import settings
from s3net_kernels._pallas.atomic import atomic_add
from s3net_kernels._pallas.backend import plt

__all__ = ["add_at", "block", "load", "make_zeros_for_sums", "matmul", "portion", "split", "store"]


def load(
    ref: Any, index: tuple[Any, ...], mask: Array | None = None, *, widen: bool = True
) -> Array:
    """Load ``ref[index]`` with zeros where ``mask`` is false; indices broadcast.

    Floats become float32 if ``widen``. Do not widen values that are loaded long before they are
    used, because the conversion waits for the load.
    """
    index, shape = _broadcast(index)
    if mask is None:
        value = plt.load(ref.at[index])
    else:
        value = plt.load(ref.at[index], mask=jnp.broadcast_to(mask, shape), other=0)
    return value.astype(jnp.float32) if widen and _is_float(value) else value


def _is_float(array: Array) -> bool:
    return jnp.issubdtype(array.dtype, jnp.floating)


def store(ref: Any, index: tuple[Any, ...], value: Array, mask: Array | None = None) -> None:
    """Store ``value`` at ``ref[index]`` where ``mask`` is true, in the dtype of ``ref``."""
    index, shape = _broadcast(index)
    mask = None if mask is None else jnp.broadcast_to(mask, shape)
    plt.store(ref.at[index], jnp.broadcast_to(value, shape).astype(ref.dtype), mask=mask)


def add_at(ref: Any, index: tuple[Any, ...], value: Array, mask: Array) -> None:
    """Add ``value`` to ``ref[index]`` atomically where ``mask`` is true; indices may repeat."""
    index, shape = _broadcast(index)
    mask = jnp.broadcast_to(mask, shape)
    value = jnp.broadcast_to(value, shape).astype(ref.dtype)
    if settings().interpret:
        # Interpret mode's own atomic addition accepts no mask and loses repeated indices.
        inside = tuple(jnp.where(mask, i, 0) for i in index)
        ref[...] = ref[...].at[inside].add(jnp.where(mask, value, 0))
    else:
        atomic_add(ref, index, value, mask)


def portion(number: Any, size: int, limit: int) -> tuple[Array, Array]:
    """Return the indices of portion ``number``, and a mask of those below ``limit``."""
    indices = number * size + jnp.arange(size, dtype=jnp.int32)
    return indices, indices < limit


def block(
    lead: tuple[Any, ...], rows: tuple[Array, Array], columns: tuple[Array, Array]
) -> tuple[tuple[Any, ...], Array]:
    """Return the index of a matrix block, and a mask of its valid elements.

    Args:
      lead: indices before the matrix' own.
      rows: indices of the rows, and a mask of the valid ones.
      columns: indices of the columns, and a mask of the valid ones.
    """
    index = (*lead, rows[0][:, None], columns[0][None, :])
    return index, rows[1][:, None] & columns[1][None, :]


def matmul(a: Array, b: Array, contract: tuple[int, int]) -> Array:
    """Multiply two blocks over one axis of each, with sums in float32."""
    dimensions = (((contract[0],), (contract[1],)), ((), ()))
    return lax.dot_general(a, b, dimensions, preferred_element_type=jnp.float32)


def make_zeros_for_sums(shape: tuple[int, ...], after: Array) -> Array:
    """Make float32 zeros to add into, written again whenever ``after`` is computed.

    XLA would create plain zeros once, before a loop or for several kernels, and copy them for
    each use, which reads as much memory as it writes. The zeros here come from a comparison with
    infinity, which is always false, but which XLA cannot fold into a constant.
    """
    some = after[(0,) * after.ndim]
    return jnp.broadcast_to((some > jnp.inf).astype(jnp.float32), shape)


def _broadcast(index: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    shape = jnp.broadcast_shapes(*(jnp.shape(i) for i in index))
    # Keep scalars: the compiler then knows that all elements are equal.
    full = tuple(i if jnp.ndim(i) == 0 else jnp.broadcast_to(i, shape) for i in index)
    return full, shape


def split(index: Array, size: int) -> tuple[Array, Array]:
    """Compute quotient and remainder of non-negative indices by ``size``."""
    if size == 1:
        return index, lax.full_like(index, 0)
    divisor = lax.full_like(index, size)
    return lax.div(index, divisor), lax.rem(index, divisor)
