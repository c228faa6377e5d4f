"""What the Pallas kernels share: launching, masked memory access, and when they serve.

They are written for Pallas' Triton backend, which is the one that can gather and add atomically
at computed addresses; it is chosen by passing its ``CompilerParams``. Arrays are passed whole
and addressed by index, since the windows of a convolution overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.experimental import pallas as pl

from s3net_kernels._atomic import atomic_add
from s3net_kernels._config import settings

try:  # deprecated since JAX 0.11: some day it will not be there
    from jax.experimental.pallas import triton as plt
except ImportError:
    plt: Any = None

__all__ = [
    "LEAST_SIDE",
    "add_at",
    "block",
    "buffers",
    "ceil_div",
    "decline",
    "launch",
    "load",
    "matmul",
    "portion",
    "power_of_two",
    "shared_memory",
    "split",
    "store",
    "sum_dtype",
    "unavailable",
    "zeros_for_sums",
]

LEAST_SIDE = 16
"""Smallest side of a matrix product on tensor cores."""
_DTYPES = ("float32", "bfloat16", "float16")
_SHARED = {8.0: 166912, 8.7: 166912, 9.0: 232448, 10.0: 232448, 10.3: 232448}
_LEAST_SHARED = 101376
"""Bytes of shared memory of a program, by compute capability, and where that is another one."""


def unavailable() -> str | None:
    """Why no Pallas kernel can run here, or None."""
    if plt is None:
        return f"JAX {jax.__version__} has no Triton backend of Pallas"
    if settings().interpret:
        return None
    try:
        device = jax.devices("gpu")[0]
    except RuntimeError:
        return "JAX sees no GPU here"
    capability = getattr(device, "compute_capability", "")
    if "rocm" in getattr(device.client, "platform_version", "").lower():
        return "the kernels are for NVIDIA GPUs"
    if capability and float(capability) < 8:
        return f"the GPU has compute capability {capability}, the kernels need 8.0"
    return None


def decline(*arrays: Array | None) -> str | None:
    """Why the Pallas kernels do not serve these arguments, or None."""
    present = [array for array in arrays if array is not None]
    for array in present:
        if array.dtype.name not in _DTYPES:
            return f"it takes {', '.join(_DTYPES)}, not {array.dtype}"
        if array.size == 0:
            return "an array is empty"
    return None


def launch(
    kernel: Callable[..., None],
    out_shape: Any,
    grid: Sequence[int],
    blocks: Mapping[str, int],
    *args: Array,
    name: str,
    aliases: Mapping[int, int] | None = None,
) -> Any:
    """Run ``kernel`` over ``grid``.

    Args:
      kernel: gets references to the whole arrays, inputs first.
      out_shape: shapes and dtypes of the results.
      grid: number of programs along up to three axes, the fastest first.
      blocks: block sizes; of them, ``num_warps`` and ``num_stages`` concern the launch.
      *args: the inputs.
      name: of the kernel, as profilers show it.
      aliases: which result takes over the memory (and the content) of which input.
    """
    return pl.pallas_call(
        kernel,
        out_shape=out_shape,
        grid=tuple(grid),
        input_output_aliases=dict(aliases or {}),
        interpret=settings().interpret,
        compiler_params=plt.CompilerParams(
            num_warps=blocks["num_warps"], num_stages=blocks.get("num_stages", 2)
        ),
        name=name,
    )(*args)


def load(
    ref: Any, index: tuple[Any, ...], mask: Array | None = None, *, widen: bool = True
) -> Array:
    """``ref[index]``, zero where ``mask`` is false; indices broadcast.

    Floats become float32, if ``widen``: what is loaded long before it is used should not be, as
    converting waits for it.
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
    """``ref[index] = value`` where ``mask`` is true, in the dtype of ``ref``."""
    index, shape = _broadcast(index)
    mask = None if mask is None else jnp.broadcast_to(mask, shape)
    plt.store(ref.at[index], jnp.broadcast_to(value, shape).astype(ref.dtype), mask=mask)


def add_at(ref: Any, index: tuple[Any, ...], value: Array, mask: Array) -> None:
    """``ref[index] += value`` where ``mask`` is true, atomically, repeated indices included."""
    index, shape = _broadcast(index)
    mask = jnp.broadcast_to(mask, shape)
    value = jnp.broadcast_to(value, shape).astype(ref.dtype)
    if settings().interpret:
        # Interpret mode's own atomic addition takes no mask and loses repeated indices.
        inside = tuple(jnp.where(mask, i, 0) for i in index)
        ref[...] = ref[...].at[inside].add(jnp.where(mask, value, 0))
    else:
        atomic_add(ref, index, value, mask)


def portion(number: Any, size: int, limit: int) -> tuple[Array, Array]:
    """The indices of portion ``number`` of so many, and which of them are below ``limit``."""
    indices = number * size + jnp.arange(size, dtype=jnp.int32)
    return indices, indices < limit


def block(
    lead: tuple[Any, ...], rows: tuple[Array, Array], columns: tuple[Array, Array]
) -> tuple[tuple[Any, ...], Array]:
    """Index of a block of a matrix, and which of its elements exist.

    Args:
      lead: the indices before the matrix' own.
      rows, columns: the numbers of both, and which of them exist.
    """
    index = (*lead, rows[0][:, None], columns[0][None, :])
    return index, rows[1][:, None] & columns[1][None, :]


def matmul(a: Array, b: Array, contract: tuple[int, int]) -> Array:
    """Product of two blocks over one axis of each, summed in float32."""
    dimensions = (((contract[0],), (contract[1],)), ((), ()))
    return lax.dot_general(a, b, dimensions, preferred_element_type=jnp.float32)


def sum_dtype(dtype: Any) -> Any:
    """The dtype of an array of ``dtype`` to which a few more numbers are added atomically.

    bfloat16 stays so on a GPU that can add it (from compute capability 9 on). Otherwise it is
    float32, as many sums are always: in bfloat16 each loses a little.
    """
    narrow = jnp.dtype(dtype) == jnp.bfloat16 and capability() >= 9
    return jnp.dtype(jnp.bfloat16 if narrow else jnp.float32)


def capability() -> float:
    """Compute capability of the GPU; where there is none, that of an H100."""
    try:
        return float(jax.devices("gpu")[0].compute_capability)
    except RuntimeError:
        return 9.0


def shared_memory() -> int:
    """Bytes of shared memory that one program may use; compiling one that needs more fails."""
    return _SHARED.get(capability(), _LEAST_SHARED)


def buffers(stages: int) -> int:
    """How many tiles of an array a pipeline holds in shared memory, to multiply them."""
    # From compute capability 9 on, products are not waited for: what they read stays a while.
    return max(stages if capability() >= 9 else stages - 1, 1)


def zeros_for_sums(shape: tuple[int, ...], after: Array) -> Array:
    """float32 zeros to add into, written anew whenever ``after`` is computed.

    Plain zeros would be made once, before a loop or for several kernels, and copied for each use:
    reading them costs as much as writing them. No number is above infinity, but XLA does not
    know that it is a zero that it has been asked for.
    """
    some = after[(0,) * after.ndim]
    return jnp.broadcast_to((some > jnp.inf).astype(jnp.float32), shape)


def _broadcast(index: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    shape = jnp.broadcast_shapes(*(jnp.shape(i) for i in index))
    # A scalar stays one: the compiler sees then that it is the same for all.
    full = tuple(i if jnp.ndim(i) == 0 else jnp.broadcast_to(i, shape) for i in index)
    return full, shape


def ceil_div(count: int, size: int) -> int:
    """How many blocks of ``size`` cover ``count``."""
    return -(-count // size)


def split(index: Array, size: int) -> tuple[Array, Array]:
    """Quotient and remainder of non-negative indices by ``size``."""
    if size == 1:
        return index, lax.full_like(index, 0)
    divisor = lax.full_like(index, size)
    return lax.div(index, divisor), lax.rem(index, divisor)


def power_of_two(count: int) -> int:
    """The smallest power of two that is at least ``count``."""
    return 1 << max(count - 1, 0).bit_length()
