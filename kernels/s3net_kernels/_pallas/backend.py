"""Pallas' Triton backend: when the kernels can run, and launching one.

It is the one backend that can gather and add atomically at computed addresses; passing its
``CompilerParams`` selects it. Arrays are passed whole and addressed by index, since the windows of
a convolution overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax import Array
from jax.experimental import pallas as pl

from s3net_kernels._config import settings

try:  # deprecated since JAX 0.11: some day it will not be there
    from jax.experimental.pallas import triton as plt
except ImportError:
    plt: Any = None

__all__ = ["launch", "plt", "supports", "unavailable"]

_DTYPES = ("float32", "bfloat16", "float16")


def unavailable() -> str | None:
    """Say why no Pallas kernel can run here, or return None."""
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
    """Say why the Pallas kernels decline a call on the arrays of ``operands``, or return None."""
    for array in jax.tree.leaves(operands):
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
