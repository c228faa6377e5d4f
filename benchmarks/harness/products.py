"""Time only the matrix products of a step, a lower bound that fusion cannot beat."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.harness.machine import allow_tf32, get_torch_device, has_torch, synchronise
from benchmarks.harness.presets import load_preset
from s3net_jax.config import Config
from s3net_kernels.testing import make_timer, take_turns

__all__ = ["count_product_shapes", "time_products"]

Shape = tuple[int, int, int]


def count_product_shapes(config: Config, size: int) -> Counter[Shape]:
    """Count the forward products of a step by shape (pixels, inputs, outputs)."""
    m, pixels = config.model, size * size
    k, branches = m.channels, len(m.kernel_sizes)
    block = [(k, k), (branches * k, k), (k, k)]
    taps = m.deform_kernel**2
    stem, head = [(27, k)], [(taps * k, k), (k, k)]
    if m.deform == "predicted":
        head.append((taps * k, 3 * taps))
    if m.color != "none":
        head += [(3, k), (k, k)]
    second = {"logits": 0, "features": 1, "input": m.blocks}[config.loss.affine.apply_at]
    found = stem + block * m.blocks + head + block * second + [(k, k)]
    if config.loss.affine.apply_at == "input":
        found += stem
    return Counter((pixels, i, o) for i, o in found)


def time_products(
    preset: str, size: int, channels: int, dtype: str, repeats: int
) -> dict[str, Any]:
    """Time all products of a step, each forward and with both backward products.

    The faster of the two frameworks counts for each shape.

    Returns:
      ``median_s``: sum of the times in seconds; ``gflop``: total work; ``shapes``: a row for each
      shape.
    """
    config = load_preset(preset).replace(model={"channels": channels})
    counts = count_product_shapes(config, size)
    calls: dict[str, Any] = {}
    for shape in counts:
        calls.update(_build_jax_product(shape, dtype))
        if has_torch():
            calls.update(_build_torch_product(shape, dtype))
    seconds = take_turns(calls, repeats=repeats)
    rows, total, work = [], 0.0, 0.0
    for shape, count in counts.items():
        times = {
            name.partition(" ")[0]: sorted(values)[len(values) // 2]
            for name, values in seconds.items()
            if name.endswith(f" {shape}")
        }
        best = min(times, key=times.__getitem__)
        # Two operations a multiply-add, for one forward and two backward products.
        flop = 6 * shape[0] * shape[1] * shape[2]
        rows.append({"shape": list(shape), "count": count, "best": best, "median_s": times[best]})
        total += count * times[best]
        work += count * flop / 1e9
    return {"median_s": total, "gflop": work, "shapes": rows}


def _build_jax_product(shape: Shape, dtype: str) -> dict[str, Any]:
    pixels, inputs, outputs = shape
    x, w = jnp.ones((pixels, inputs), dtype), jnp.ones((inputs, outputs), dtype)
    g = jnp.ones((pixels, outputs), dtype)
    run = jax.jit(lambda x, w, g: (x @ w, g @ w.T, x.T @ g))

    return {f"jax {shape}": make_timer(lambda: run(x, w, g), jax.block_until_ready)}


def _build_torch_product(shape: Shape, dtype: str) -> dict[str, Any]:
    import torch

    allow_tf32()
    pixels, inputs, outputs = shape
    kind = {"dtype": getattr(torch, dtype), "device": get_torch_device()}
    x, w = torch.ones((pixels, inputs), **kind), torch.ones((inputs, outputs), **kind)
    g = torch.ones((pixels, outputs), **kind)
    y, dx, dw = torch.empty_like(g), torch.empty_like(x), torch.empty_like(w)

    def run() -> None:
        torch.mm(x, w, out=y)
        torch.mm(g, w.T, out=dx)
        torch.mm(x.T, g, out=dw)

    return {f"torch {shape}": make_timer(run, lambda _: synchronise())}
