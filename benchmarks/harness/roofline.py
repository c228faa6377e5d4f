"""Count the work and traffic of operator calls, and measure the machine's peak rates."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.harness.machine import get_torch_device, has_torch, is_on_gpu, synchronise
from s3net_kernels.testing import ArgSpec, interleave

__all__ = ["compute_attainable_seconds", "count_traffic", "count_work", "measure_ceilings"]

_INTERPOLATION = 8
"""Floating-point operations to blend four corners, per sample and channel."""


def count_work(spec: ArgSpec, backward: bool) -> float:
    """Count the floating-point operations of a call; a multiply-add counts as two.

    The backward pass is counted as twice the forward pass, which is exact for products (gradients
    of input and weights) and nearly exact for the rest.
    """
    x = spec.args[0].shape
    pixels, c = math.prod(x[:-1]), x[-1]
    taps = [math.prod(a.shape[:2]) for a in jax.tree.leaves(spec.args[1:]) if len(a.shape) == 3]
    if spec.operator in ("depthwise_conv2d", "inception_depthwise"):
        each = 2 * sum(taps) * c
    elif spec.operator == "gated_inception":
        each = 2 * sum(taps) * c + 2 * spec.args[5].shape[0] * c + 2 * c
    elif spec.operator == "deform_conv2d":
        kh, kw, _, features = spec.args[3].shape
        each = kh * kw * c * (2 * features + _INTERPOLATION + 1)
    elif spec.operator == "bilinear_sample":
        each = _INTERPOLATION * c * math.prod(spec.args[1].shape[1:3]) / math.prod(x[1:3])
    elif spec.operator == "affine_warp":
        each = _INTERPOLATION * c
    elif spec.operator in ("linear", "conv2d"):
        each = 2 * math.prod(spec.args[1].shape)
    elif spec.operator == "batch_norm":
        each = 7 * c
    elif spec.operator == "linear_norm":
        each = 2 * math.prod(spec.args[1].shape) + 7 * spec.args[1].shape[1]
    elif spec.operator == "softmax_losses":
        # Softmax and its logarithm, three 3×3 derivatives, three differences.
        each = 30 * c
    else:
        raise KeyError(f"count_work does not know the operator {spec.operator}: add its formula.")
    return float(pixels * each * (3 if backward else 1))


def count_traffic(spec: ArgSpec, dtype: str, backward: bool) -> float:
    """Count the minimum bytes a call must move: inputs read and results written once.

    The backward pass reads the inputs and the cotangent, and writes a gradient for every input.
    """
    x, *others = spec.make_shapes(dtype)
    out = jax.eval_shape(_evaluate(spec), x, *others)
    inputs = sum(a.size * a.dtype.itemsize for a in jax.tree.leaves((x, *others)))
    output = out.size * out.dtype.itemsize
    return float(inputs + output + (2 * inputs + output if backward else 0))


def _evaluate(spec: ArgSpec) -> Any:
    from s3net_kernels.testing import make_function

    return make_function(spec, "xla")


def compute_attainable_seconds(
    spec: ArgSpec, dtype: str, backward: bool, limits: dict[str, float]
) -> float:
    """Compute the roofline: the longer of compute time at peak rate and traffic at copy rate."""
    rate = limits[f"flops_{dtype}"]
    return max(
        count_work(spec, backward) / rate,
        count_traffic(spec, dtype, backward) / limits["bytes_per_s"],
    )


def measure_ceilings(dtypes: Iterable[str], repeats: int, quick: bool = False) -> dict[str, float]:
    """Measure FLOP/s of a square matrix product by dtype, and bytes/s of a copy.

    The better of the two frameworks counts.

    Args:
      dtypes: dtypes of the products; those without hardware support may take minutes.
      repeats: number of timed calls of each.
      quick: whether to use small arrays, for trying out the benchmark.
    """
    side = 256 if quick else 8192 if is_on_gpu() else 2048
    count = 2**16 if quick else 2**28 if is_on_gpu() else 2**25
    calls, sizes = {}, {}
    for kind in dtypes:
        calls.update(_build_products(kind, side))
    calls.update(_build_copies(count))
    seconds = interleave(calls, repeats=repeats, warm=2)
    best = {name: min(values) for name, values in seconds.items()}
    for name, value in best.items():
        what = name.partition(" ")[0]
        amount = 8 * count if what == "bytes_per_s" else 2 * side**3
        sizes[what] = max(sizes.get(what, 0), amount / value)
    return sizes


def _build_products(kind: str, side: int) -> dict[str, Any]:
    a = jnp.ones((side, side), kind)
    product = jax.jit(jnp.matmul)
    calls = {f"flops_{kind} jax": lambda: jax.block_until_ready(product(a, a))}
    if has_torch():
        import torch

        b = torch.ones((side, side), dtype=getattr(torch, kind), device=get_torch_device())
        out = torch.empty_like(b)

        def multiply() -> None:
            torch.mm(b, b, out=out)
            synchronise()

        calls[f"flops_{kind} torch"] = multiply
    return calls


def _build_copies(count: int) -> dict[str, Any]:
    state = [jnp.zeros(count, jnp.float32)]
    # Donate the buffer: fresh memory would cause page faults on a CPU.
    move = jax.jit(lambda x: x + 1, donate_argnums=0)

    def add_one() -> None:
        state[0] = jax.block_until_ready(move(state[0]))

    calls: dict[str, Any] = {"bytes_per_s jax": add_one}
    if has_torch():
        import torch

        source = torch.zeros(count, device=get_torch_device())
        target = torch.zeros_like(source)

        def copy() -> None:
            target.copy_(source)
            synchronise()

        calls["bytes_per_s torch"] = copy
    return calls
