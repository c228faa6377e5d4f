"""Time the formulations of the reference against each other.

    python -m benchmarks.torch_reference.variants --size 256 --channels 64

prints the milliseconds of forward and backward together, for each operator and for the whole step:
minimum and median of interleaved repeats.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness.presets import load_preset
from benchmarks.torch_reference import PLAIN, Options, Trainer, alternatives
from benchmarks.torch_reference.deform import deform_conv2d
from benchmarks.torch_reference.depthwise import DepthwiseConv2d
from s3net_kernels.testing import interleave, summarise

Calls = dict[str, Callable[[], object]]
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
STEPS = {
    "default": Options(),
    "contiguous format": Options(channels_last=False),
    "library's depthwise": Options(depthwise="native"),
    "grid_sample in one call": Options(deform="grid_sample"),
    "plain": PLAIN,
}


def deform(size: int, channels: int) -> Calls:
    """Build every formulation of the deformable convolution; offsets and mask are U[0, 1)."""
    shapes = [(1, channels, size, size), (1, 18, size, size), (1, 9, size, size)]
    inputs = [torch.rand(s).requires_grad_() for s in (*shapes, (channels, channels, 3, 3))]
    functions: dict[str, Callable[..., Tensor]] = {
        "taps": partial(deform_conv2d, method="taps"),
        "grid_sample, groups of channels": partial(deform_conv2d, method="grid_sample"),
        "grid_sample, one image": alternatives.sample_one_image,
        "grid_sample, taps as batch": alternatives.sample_taps_as_batch,
        "grid_sample after the product": alternatives.multiply_first,
        "embedding_bag": alternatives.embedding_bag,
        "index_select": alternatives.index_select,
    }
    try:
        import torchvision  # noqa: F401  # pyright: ignore
    except ImportError:
        print("torchvision is not installed; skipping its operator.")
    else:
        functions["torchvision"] = partial(deform_conv2d, method="torchvision")
    return {
        name: _build_forward_backward(partial(f, *inputs), inputs) for name, f in functions.items()
    }


def depthwise(size: int, channels: int) -> Calls:
    """Build every depthwise convolution of the network, in both memory formats."""
    calls: Calls = {}
    for kernel, dilation in ((5, 1), (3, 1), (5, 2), (7, 3)):
        for method in ("native", "batched"):
            for name, memory_format in FORMATS.items():
                if method == "batched" and (kernel == 3 or name == "contiguous"):
                    continue
                layer = DepthwiseConv2d(channels, kernel, dilation, method)
                layer.to(memory_format=memory_format)  # pyright: ignore[reportCallIssue]
                x = torch.rand(1, channels, size, size).to(memory_format=memory_format)
                leaves = [x.requires_grad_(), *layer.parameters()]
                label = f"{kernel}x{kernel} dilation {dilation}, {method}, {name}"
                calls[label] = _build_forward_backward(partial(layer, x), leaves)
    return calls


def step(size: int, channels: int, name: str, compiled: bool) -> Calls:
    """Build a whole optimisation step of the preset ``name`` for each set of options."""
    config = load_preset(name).replace(model={"channels": channels}, input={"size": size})
    image = np.random.default_rng(0).random((size, size, 3), dtype=np.float32)
    options = {**STEPS, "torch.compile": Options(compile=True)} if compiled else STEPS
    return {n: Trainer(image, config, options=o).step for n, o in options.items()}


def _build_forward_backward(
    function: Callable[[], Tensor], leaves: list[Tensor]
) -> Callable[[], object]:
    upstream = torch.rand_like(function())

    def call() -> object:
        return torch.autograd.grad(function(), leaves, upstream)

    return call


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="time torch.compile too (minutes)")
    args = parser.parse_args(arguments)
    shape = (args.size, args.channels)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {shape}")
    suites: dict[str, Callable[[], Calls]] = {
        "deformable convolution": lambda: deform(*shape),
        "depthwise convolutions": lambda: depthwise(*shape),
        **{
            f"step, {name}": partial(step, *shape, name, args.compile)
            for name in ("paper", "released")
        },
    }
    for title, build in suites.items():
        print(f"\n{title}: minimum and median, ms")
        for name, seconds in interleave(build(), repeats=args.repeats).items():
            timing = summarise(seconds)
            print(f"  {name:44s} {timing['min_s'] * 1e3:8.1f} {timing['median_s'] * 1e3:8.1f}")


if __name__ == "__main__":
    main()
