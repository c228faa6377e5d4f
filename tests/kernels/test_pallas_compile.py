"""Pallas kernels without a GPU: lowered for CUDA, and compiled by PyPI's Triton."""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import pytest

import s3net_kernels
from s3net_kernels import OPERATORS, _pallas
from s3net_kernels._pallas import device, tuning
from s3net_kernels.gated_inception import arg_specs as gated
from s3net_kernels.softmax_losses import arg_specs as losses
from s3net_kernels.tune import KERNELS, list_problems
from tests.kernels import base, triton_ir

pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
WRITTEN = [name for name in OPERATORS if find_spec(f"s3net_kernels.{name}.pallas") is not None]
ALL = [
    pytest.param(spec, id=f"{operator}-{spec}")
    for operator in WRITTEN
    for spec in (base.specs(operator) or map(losses.spec, losses.SHAPES))
]
# The shapes that are timed: small ones have blocks of their own size, and spill less.
LARGE = [
    pytest.param(operator, number, dtype, id=f"{operator}-{number}-{dtype}")
    for operator in WRITTEN
    # Their kernels are among those of gated_inception and bilinear_sample.
    if operator not in ("depthwise_conv2d", "inception_depthwise", "affine_warp")
    for number in {"linear": (1, 3), "conv2d": (0, 1)}.get(operator, (0,))
    for dtype in ("float32", "bfloat16")
]
SPILL_BYTES = 256
"""Local memory a thread may use: the deformable convolution's matrix products in TF32 fill all
255 registers and spill some; what unrolls too far spills kilobytes, and is many times slower."""


@pytest.mark.parametrize("spec", ALL)
def test_lowers_for_cuda(spec, monkeypatch):
    """Every kernel, forward and backward, over all argument specs."""
    kernels = lower(spec, monkeypatch)
    assert kernels and all("tt.func" in kernel.text for kernel in kernels)


@pytest.mark.parametrize("operator", ["deform_conv2d", "bilinear_sample"])
def test_atomic_additions_are_relaxed(operator, monkeypatch):
    """Pallas' own ones empty the first cache each time. This fails where JAX has changed so that
    only those are left: right results, much slower."""
    texts = [kernel.text for kernel in lower(base.specs(operator)[1], monkeypatch)]
    added = [text for text in texts if "atomic_rmw" in text]
    assert added and all("relaxed" in text and "acq_rel" not in text for text in added)


@pytest.mark.parametrize("operator", ["deform_conv2d", "bilinear_sample", "affine_warp"])
def test_lowers_without_atomic_additions(operator, monkeypatch, tmp_path):
    with s3net_kernels.config(deterministic=True):
        kernels = lower(base.specs(operator)[1], monkeypatch)
    assert not any("atomic_rmw" in kernel.text for kernel in kernels)
    gathering = [kernel for kernel in kernels if kernel.name == "bilinear_gather_sum"]
    assert gathering
    if operator == "bilinear_sample":
        check(gathering, 80, tmp_path)


@pytest.mark.parametrize("operator", [o for o in WRITTEN if o not in ("softmax_losses",)])
def test_lowers_for_images_of_their_own_parameters(operator, monkeypatch):
    """Under ``vmap``, weights too have several groups."""
    assert lower(base.specs(operator)[1], monkeypatch, several=3)


@pytest.mark.parametrize(
    ("given", "weighted", "spatial"),
    [(True, True, True), (True, False, False), (False, True, True), (False, False, False)],
)
def test_losses_lower_for_cuda(given, weighted, spatial, monkeypatch):
    """The variants that the argument specs are not of."""
    monkeypatch.setattr(base.module("softmax_losses", "pallas"), "unavailable", lambda: None)
    shape = losses.SHAPES[1]
    z, weight = jax.ShapeDtypeStruct(shape, jnp.bfloat16), jax.ShapeDtypeStruct(shape[:3], "f4")
    labels = jax.ShapeDtypeStruct(shape[:3], "i4") if given else None

    def total(z, labels, weight):
        options = {"spatial": spatial, "implementation": "pallas"}
        found = s3net_kernels.softmax_losses(z, labels, weight, **options)
        return found[0] + found[1]

    kernels = triton_ir.lower(jax.grad(total), z, labels, weight if weighted else None)
    names = {kernel.name for kernel in kernels}
    assert ("losses_edges" in names) == spatial and len(names) == 2 + spatial


def lower(spec, monkeypatch, dtype=None, several=0):
    """The kernels of value and gradients, as if there were a GPU.

    Args:
      spec: the call.
      dtype: of x, in place of its own.
      several: calls of one ``vmap`` over every argument.
    """
    monkeypatch.setattr(base.module(spec.operator, "pallas"), "unavailable", lambda: None)
    args = spec.make_shapes(dtype)
    cotangent = jax.eval_shape(base.public(spec, "xla"), *args)
    function = base.public(spec, "pallas")
    if several:
        function = jax.vmap(function)
        args, cotangent = jax.tree.map(
            lambda a: jax.ShapeDtypeStruct((several, *a.shape), a.dtype), (args, cotangent)
        )
    return triton_ir.lower(base.value_and_gradients(function), cotangent, *args)


def check(kernels, capability, folder, limit=None):
    """Compile, and see that registers and shared memory suffice."""
    pytest.importorskip("triton", reason="compiling for a GPU needs triton")
    compiled = {
        kernel.text: (kernel.name, triton_ir.compile_for(kernel, capability, folder))
        for kernel in kernels
    }
    assert compiled
    spills = {name: c.stack for name, c in compiled.values() if c.stack > SPILL_BYTES}
    assert not spills
    limit = limit or triton_ir.SHARED[capability]
    assert not {name: c.shared for name, c in compiled.values() if c.shared > limit}


@pytest.fixture(autouse=True)
def fused(monkeypatch):
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # said, because the default changes


def use_device(capability, monkeypatch):
    """Block sizes as for a GPU of that capability."""
    monkeypatch.setattr(device, "capability", lambda: capability / 10)


@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize(("operator", "number", "dtype"), LARGE)
def test_compiles_without_spilling(operator, number, dtype, capability, monkeypatch, tmp_path):
    """Every kernel of the benchmarks' shapes, by PyPI's Triton (not the version XLA holds)."""
    use_device(capability, monkeypatch)
    spec = base.module(operator, "arg_specs").BENCHMARKS[number]
    # Only one operator's blocks depend on the memory: the others' have to do with the least.
    known = capability == 90 or operator == "gated_inception"
    limit = triton_ir.SHARED[capability if known else 86]
    check(lower(spec, monkeypatch, dtype), capability, tmp_path, limit)


@pytest.mark.parametrize(
    ("name", "channels", "features", "capability"),
    [
        # Of little shared memory.
        ("gated_inception.forward", 192, 64, 86),
        ("gated_inception.backward", 192, 64, 86),
        # Whose blocks grow with the number of channels.
        ("gated_inception.backward", 768, 16, 90),
        ("gated_inception.backward", 96, 96, 80),
        ("linear.gelu_backward", 100, 100, 80),
        ("deform_conv2d.backward", 100, 100, 80),
    ],
)
def test_heuristic_compiles(name, channels, features, capability, monkeypatch, tmp_path):
    """Kernels of other shapes than the benchmarks'."""
    use_device(capability, monkeypatch)
    deform = name.startswith("deform")
    shape, size = ((64, 64), (3, 3)) if deform else ((1, 4096), (1, 1))
    problem = tuning.Problem(name, "float32", 1, *shape, channels, features, size)
    check(lower_kernels(problem, KERNELS[name].heuristic(problem)), capability, tmp_path)


def lower_kernels(problem, blocks):
    """The kernels of a problem, with these blocks."""
    kernel = KERNELS[problem.kernel]
    with s3net_kernels.config(interpret=True):  # for the arrays, which are not made
        arrays = jax.eval_shape(lambda: kernel.arguments(problem))
    return triton_ir.lower(kernel.call(problem, blocks), *arrays)


def test_gated_inception_says_what_it_compares(monkeypatch):
    monkeypatch.setattr(device, "capability", lambda: 8.6)
    many = gated.spec((1, 8, 8, 104), sizes=(3,), dilations=(1,))
    wide = gated.spec((1, 8, 8, 72), sizes=(3, 3), dilations=(1, 1))
    supports = base.module("gated_inception", "pallas").supports
    assert "12288 weights" in (reason := supports(many.bind(many.make_shapes())))
    assert reason.endswith("not 12544")
    assert "144×72 needs more shared memory" in supports(wide.bind(wide.make_shapes()))


@pytest.mark.parametrize("capability", [7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0])
def test_gated_inception_fits_or_declines(capability, monkeypatch):
    monkeypatch.setattr(device, "capability", lambda: capability)
    kernels = base.module("gated_inception", "pallas_kernels")
    for channels, features in ((192, 64), (384, 32), (768, 16), (144, 72), (64, 64)):
        for dtype in ("float32", "bfloat16"):
            name = "gated_inception.backward"
            problem = tuning.Problem(name, dtype, 1, 1, 65536, channels, features)
            needed = kernels.compute_shared_memory(problem, kernels.heuristic(problem))
            fits = kernels.fits(channels, features, dtype)
            assert fits == (needed <= _pallas.get_shared_memory())
            assert fits or (dtype == "float32" and _pallas.get_shared_memory() == 101376)
            for blocks in kernels.candidates(problem):
                assert kernels.compute_shared_memory(problem, blocks) <= _pallas.get_shared_memory()


def test_blocks_of_another_problem_are_not_taken_where_they_do_not_fit(monkeypatch):
    kernels = base.module("gated_inception", "pallas_kernels")
    name = "gated_inception.forward"
    small, large = (
        tuning.Problem(name, "float32", 1, 1, 65536, channels, 48) for channels in (144, 240)
    )
    blocks = {**kernels.heuristic(small), "pixels": 128}
    monkeypatch.setattr(tuning, "find_device", lambda: "some")
    monkeypatch.setattr(tuning, "_read_tables", lambda _: {small.key: blocks})
    choose = functools.partial(
        tuning.choose, heuristic=kernels.heuristic, shared=kernels.compute_shared_memory
    )
    assert small.family == large.family
    assert choose(large) == kernels.heuristic(large) != blocks


TABLE = json.loads(tuning.locate_table("NVIDIA H100 80GB HBM3").read_text(encoding="utf-8"))
TABLE_PROBLEMS = [
    problem
    for problem in list_problems(256, 64, (32,), ("float32", "bfloat16"))
    if problem.key in TABLE["entries"]
]


def test_table_fits():
    """Every entry of the table is of a known problem, and none is declined for its memory."""
    assert len({problem.key for problem in TABLE_PROBLEMS}) == len(TABLE["entries"])
    kernels = base.module("gated_inception", "pallas_kernels")
    for problem in TABLE_PROBLEMS:
        if problem.kernel.startswith("gated"):
            blocks = TABLE["entries"][problem.key]["blocks"]
            assert kernels.compute_shared_memory(problem, blocks) <= triton_ir.SHARED[90]


# Those of matrix products that hold the most.
FLOAT32 = ("gated_inception.backward", "linear.gelu_backward", "conv2d.weight_grad")
BFLOAT16 = ("deform_conv2d.input_grad",)
MEASURED = [
    problem
    for problem in TABLE_PROBLEMS
    if problem.kernel in (FLOAT32 if problem.dtype == "float32" else BFLOAT16)
]


@pytest.mark.slow
@pytest.mark.parametrize("problem", MEASURED, ids=lambda problem: problem.key)
def test_table_compiles(problem, monkeypatch, tmp_path):
    """Blocks measured on an H100, on one."""
    use_device(90, monkeypatch)
    blocks = TABLE["entries"][problem.key]["blocks"]
    check(lower_kernels(problem, blocks), 90, tmp_path)
