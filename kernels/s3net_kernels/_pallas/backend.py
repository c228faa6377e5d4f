"""Launch kernels with Pallas' Triton backend, and report whether they can run.

Only this backend can gather and add atomically at computed addresses; passing its
``CompilerParams`` selects it. Arrays are passed whole and addressed by index, because the windows
of a convolution overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax import Array
from jax.experimental import pallas as pl

from s3net_kernels._config import settings

try:  # deprecated since JAX 0.11, to be removed in a later release
    from jax.experimental.pallas import triton as plt
except ImportError:
    plt: Any = None

__all__ = ["launch", "plt", "supports", "unavailable"]

_DTYPES = ("float32", "bfloat16", "float16")


def unavailable() -> str | None:
    """Return why no Pallas kernel can run here, or None."""
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


def supports(*operands: Any) -> str | None:
    """Return why the Pallas kernels decline a call on the arrays in ``operands``, or None."""
    for array in jax.tree.leaves(operands):
        if array.dtype.name not in _DTYPES:
            return f"it supports {', '.join(_DTYPES)}, not {array.dtype}"
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
      kernel: function of references to the whole arrays, inputs first.
      out_shape: shapes and dtypes of the results.
      grid: number of programs along up to three axes, the fastest first.
      blocks: block sizes; ``num_warps`` and ``num_stages`` configure the launch.
      *args: input arrays.
      name: name of the kernel in profiles.
      aliases: index of an input → index of the result that reuses its memory and content.

    Returns:
      The results, in the structure of ``out_shape``.
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
