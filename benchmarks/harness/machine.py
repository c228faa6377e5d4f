"""Query the machine: platform, availability of PyTorch, memory, names of result files."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import jax

from s3net_kernels._native import instruction_set

__all__ = [
    "allow_tf32",
    "build_result_name",
    "get_torch_device",
    "has_torch",
    "hold_little_memory",
    "is_on_gpu",
    "measure_peak",
    "name_place",
    "read_cpu_model",
    "synchronise",
    "use_tf32",
]


@cache
def is_on_gpu() -> bool:
    """Return whether JAX computes on a GPU."""
    return jax.default_backend() in ("gpu", "cuda", "rocm")


@cache
def has_torch() -> bool:
    """Return whether PyTorch is available on JAX's platform; print a note if not."""
    if importlib.util.find_spec("torch") is None:
        print("PyTorch is not installed; skipping its candidates.", file=sys.stderr)
        return False
    if is_on_gpu():
        import torch

        if not torch.cuda.is_available():
            print("PyTorch finds no GPU; skipping its candidates.", file=sys.stderr)
            return False
    return True


def get_torch_device() -> str:
    """Return PyTorch's name of the device that JAX computes on."""
    return "cuda" if is_on_gpu() else "cpu"


def allow_tf32() -> None:
    """Let PyTorch multiply float32 matrices in TF32 on a GPU, as ours does, for timing."""
    if is_on_gpu():
        _set_tf32(True, True)


@contextmanager
def use_tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 in PyTorch's products and convolutions inside the context, for
    comparing values."""
    import torch

    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    _set_tf32(allowed, allowed)
    try:
        yield
    finally:
        _set_tf32(*before)


def _set_tf32(matmul: Any, cudnn: Any) -> None:
    import torch

    torch.backends.cuda.matmul.allow_tf32 = matmul
    torch.backends.cudnn.allow_tf32 = cudnn


def synchronise() -> None:
    """Wait until PyTorch has finished its work on the GPU."""
    if is_on_gpu():
        import torch

        torch.cuda.synchronize()


@cache
def read_cpu_model() -> tuple[str, ...]:
    """Read family and model of an x86 processor; empty if unknown.

    The name is not enough: virtual machines often report only ``AMD EPYC``, which may be a
    processor of 2017 or one twice as fast.
    """
    found: dict[str, str] = {}
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            found.setdefault(name.strip(), value.strip())
    names = ("cpu family", "model")
    return tuple(found[n] for n in names) if all(n in found for n in names) else ()


@cache
def name_place() -> str:
    """Name the machine for result files: the kind of GPU, or the CPU's instruction set, family and
    model (``avx512-6-143``)."""
    if not is_on_gpu():
        return "-".join([instruction_set() or "cpu", *read_cpu_model()])
    return re.sub(r"[^a-z0-9]+", "-", jax.devices()[0].device_kind.lower()).strip("-")


def build_result_name(*parts: Any) -> str:
    """Build the name of a result file from ``parts`` and :func:`name_place`."""
    return "-".join([*map(str, parts), name_place()])


def hold_little_memory() -> None:
    """Keep JAX from preallocating memory that PyTorch needs; call before the first array."""
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")


def measure_peak() -> float:
    """Measure peak memory in MiB: resident memory on a CPU, allocations of frameworks on a GPU."""
    if is_on_gpu():
        used = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)
        if "torch" in sys.modules:
            import torch

            used += torch.cuda.max_memory_allocated()
        return used / 2**20
    # Not ru_maxrss of getrusage, which a child process inherits from its parent.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024
