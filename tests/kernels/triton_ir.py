"""Pallas kernels lowered for CUDA without a GPU, and compiled by PyPI's Triton."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jax._src.lib.mlir import ir  # pyright: ignore[reportPrivateImportUsage]
from jax._src.pallas.triton import lowering
from jax.sharding import AbstractDevice, AbstractMesh, use_abstract_mesh

TARGET = "__gpu$xla.gpu.triton"
SHARED = {80: 166912, 86: 101376, 90: 232448}
"""Bytes of shared memory that a program may use, by compute capability; 89 and 120 have 86's."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    """One kernel of a lowered program."""

    name: str
    text: str
    """Triton IR."""
    num_warps: int
    num_stages: int


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What the compiler says about a kernel on one architecture."""

    registers: int
    stack: int
    """Bytes of local memory a thread uses: spilled registers, mostly."""
    shared: int
    ptx: str


def _abstract_gpu() -> contextlib.AbstractContextManager[Any]:
    """Lets JAX from 0.11 on lower for a GPU that is not there; older ones need no telling."""
    if jax.__version_info__ < (0, 11) or jax.default_backend() == "gpu":
        return contextlib.nullcontext()
    device = AbstractDevice(device_kind="NVIDIA H100", platform="gpu", num_cores=None)
    return use_abstract_mesh(AbstractMesh((), (), abstract_device=device))


def lower(function: Callable[..., Any], *args: Any) -> list[Kernel]:
    """The Triton kernels of ``function`` on arguments of the given shapes, lowered for CUDA."""
    with _abstract_gpu():
        lowered = jax.jit(function).trace(*args).lower(lowering_platforms=("cuda",))
    found: list[Kernel] = []

    def visit(operation: ir.Operation) -> ir.WalkResult:
        if operation.name == "stablehlo.custom_call":
            attributes = operation.attributes
            if ir.StringAttr(attributes["call_target_name"]).value == TARGET:
                found.append(_kernel(ir.DictAttr(attributes["mhlo.backend_config"])))
        return ir.WalkResult.ADVANCE

    module = lowered.compiler_ir("stablehlo")
    assert module is not None
    module.operation.walk(visit)
    return found


def _kernel(config: ir.DictAttr) -> Kernel:
    code = ir.StringAttr(config["ir"]).value_bytes
    with lowering._new_ir_context(), ir.Location.unknown():
        text = str(ir.Module.parse(code))
    return Kernel(
        ir.StringAttr(config["name"]).value,
        text,
        ir.IntegerAttr(config["num_warps"]).value,
        ir.IntegerAttr(config["num_stages"]).value,
    )


def compile_for(kernel: Kernel, capability: int, folder: Path) -> Compiled:
    """Compile for ``sm_<capability>``, and read what ptxas reports."""
    import triton
    from triton.backends.compiler import GPUTarget

    path = folder / f"{kernel.name}.ttir"
    path.write_text(kernel.text, encoding="utf-8")
    options = {"num_warps": kernel.num_warps, "num_stages": kernel.num_stages}
    target = GPUTarget("cuda", capability, 32)
    path.write_text(_simplify(path, target, options), encoding="utf-8")
    result = triton.compile(str(path), target=target, options=options)
    return Compiled(*_resources(result.asm["cubin"]), result.metadata.shared, result.asm["ptx"])


def _simplify(path: Path, target: Any, options: dict[str, int]) -> str:
    """The IR after the first passes, as in XLA: a file is thought to have been through them."""
    from triton._C.libtriton import ir as triton_ir
    from triton.compiler.compiler import make_backend

    backend: Any = make_backend(target)
    context = triton_ir.context()
    triton_ir.load_dialects(context)
    backend.load_dialects(context)
    module = triton_ir.parse_mlir_module(str(path), context)
    module.context = context
    backend.make_ttir(module, {}, backend.parse_options(options), target.arch)
    return str(module)


def _resources(cubin: bytes) -> tuple[int, int]:
    """(registers, bytes of stack) of the kernel in a cubin."""
    import subprocess
    import tempfile

    from triton import knobs

    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [knobs.nvidia.cuobjdump.path, "-res-usage", file.name]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    registers, stack = re.search(r"REG:(\d+)", report), re.search(r"STACK:(\d+)", report)
    assert registers and stack, report
    return int(registers[1]), int(stack[1])
