"""Time one operator of s3net_kernels beside PyTorch: the depthwise convolution of S3-Net.

    python examples/benchmark_operator.py --size 256 --channels 64

Both sides compute the value and all gradients in float32, and take turns, so that a drift of the
machine's speed cancels out. This is an example; `s3net bench ops` measures every operator with
more care.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from s3net_kernels import depthwise_conv2d, implementations

KERNEL, DILATION = 7, 3  # the largest branch of S3-Net's attention


def make_ours(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    """Return a function that computes value and gradients with JAX and waits for them."""

    def loss(x: jax.Array, w: jax.Array, b: jax.Array) -> jax.Array:
        return jnp.sum(depthwise_conv2d(x, w, b, dilation=DILATION) ** 2)

    arrays = tuple(jnp.asarray(a) for a in (x, w, b))
    step = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2)))
    return lambda: jax.block_until_ready(step(*arrays))


def make_torch(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> Callable[[], Any]:
    """Return a function that computes the same with PyTorch, on the GPU if there is one."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # NHWC to NCHW, and (k, k, C) to PyTorch's (C, 1, k, k).
    image = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).to(device)
    kernel = torch.from_numpy(np.ascontiguousarray(w.transpose(2, 0, 1)[:, None])).to(device)
    tensors = [t.requires_grad_() for t in (image, kernel, torch.from_numpy(b).to(device))]

    def step() -> Any:
        image, kernel, bias = tensors
        reach = DILATION * (KERNEL // 2)
        y = torch.nn.functional.conv2d(
            image, kernel, bias, padding=reach, dilation=DILATION, groups=x.shape[-1]
        )
        loss = (y**2).sum()
        gradients = torch.autograd.grad(loss, tensors)
        if device == "cuda":
            torch.cuda.synchronize()
        return loss.detach(), gradients

    return step


def main(arguments: list[str] | None = None) -> None:
    """Parse the options, time both sides and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=128, help="side of the image in pixels")
    parser.add_argument("--channels", type=int, default=32, help="number of channels")
    parser.add_argument("--repeats", type=int, default=9, help="number of timings of each side")
    args = parser.parse_args(arguments)

    random = np.random.default_rng(0)
    x = random.normal(size=(1, args.size, args.size, args.channels)).astype(np.float32)
    w = random.normal(size=(KERNEL, KERNEL, args.channels)).astype(np.float32)
    b = np.zeros(args.channels, np.float32)
    sides = {"s3net_kernels": make_ours(x, w, b), "PyTorch": make_torch(x, w, b)}

    values = [float(step()[0]) for step in sides.values()]  # compiles and warms up
    np.testing.assert_allclose(values[0], values[1], rtol=1e-4)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(args.repeats):
        for name, step in sides.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)

    print(f"{KERNEL}×{KERNEL} depthwise convolution, dilation {DILATION}, value and gradients,")
    print(f"{args.size}×{args.size} pixels, {args.channels} channels, float32")
    print(f"available here: {', '.join(sorted(n for n, why in available().items() if not why))}")
    for name, taken in seconds.items():
        print(f"{name:14s} {1e3 * statistics.median(taken):8.2f} ms")
    ratios = [theirs / ours for ours, theirs in zip(*seconds.values(), strict=True)]
    print(f"ratio          {statistics.median(ratios):8.2f} (PyTorch / s3net_kernels)")


def available() -> dict[str, str | None]:
    """Return the implementations of the operator, each with the reason it cannot be used."""
    return dict(implementations()["depthwise_conv2d"])


if __name__ == "__main__":
    main()
