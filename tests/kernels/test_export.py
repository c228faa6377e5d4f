"""Programs that are lowered for another platform than the one at hand hold none of its kernels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

from s3net_kernels import OPERATORS
from s3net_kernels._native import unavailable
from tests.kernels import base

pytestmark = [
    pytest.mark.skipif(unavailable() is not None, reason=str(unavailable())),
    pytest.mark.skipif(jax.default_backend() != "cpu", reason="native is chosen on a CPU"),
]


def program(operator) -> tuple[Any, tuple[Any, ...]]:
    """Value and gradients by the implementation that is chosen here, and its arguments."""
    specs = base.module(operator, "arg_specs")
    spec = (specs.SPECS or specs.CHECKS)[1]
    args = spec.make()
    run = base.value_and_gradients(base.public(spec, None))
    return run, (base.make_cotangent(spec, args), *args)


def list_allowed(text: str) -> list[export.DisabledSafetyCheck]:
    """JAX exports a call of another library's kernel only if it is named."""
    names = {part.split("(")[0].strip() for part in text.split("@s3net_kernels.")[1:]}
    return [export.DisabledSafetyCheck.custom_call(f"s3net_kernels.{name}") for name in names]


@pytest.mark.parametrize("operator", OPERATORS)
def test_exported_for_another_platform(operator):
    run, args = program(operator)
    here = run.trace(*args).lower(lowering_platforms=("cpu",)).as_text()
    assert "s3net_kernels." in here
    exported = export.export(run, platforms=["cuda"])(*args)
    assert "s3net_kernels." not in exported.mlir_module()


@pytest.mark.parametrize("operator", ["deform_conv2d", "linear_norm"])
def test_exported_for_several_platforms(operator):
    """The program for a CPU still takes the kernels, and gives the same bits."""
    run, args = program(operator)
    text = run.trace(*args).lower(lowering_platforms=("cpu",)).as_text()
    both = export.export(run, platforms=["cpu", "cuda"], disabled_checks=list_allowed(text))(*args)
    for a, e in zip(both.call(*args), run(*args), strict=True):
        np.testing.assert_array_equal(a, e)


def test_a_refused_export_names_the_kernel():
    run, args = program("linear")
    with pytest.raises(ValueError, match=r"s3net_kernels\.linear_forward"):
        export.export(run)(*args)


@pytest.mark.slow
def test_what_another_platform_gets_is_the_same_result(monkeypatch):
    """What is exported for a GPU, run on a CPU: the alternative's values and gradients."""
    from jax.interpreters import mlir

    from s3net_kernels import _platform

    mlir.register_lowering(_platform._on_cpu_p, _platform._lower_plain, platform="cpu")
    try:
        for operator in OPERATORS:
            run, args = program(operator)
            assert "s3net_kernels." not in run.lower(*args).as_text(), operator
            specs = base.module(operator, "arg_specs")
            spec = (specs.SPECS or specs.CHECKS)[1]
            cotangent, *inputs = args
            base.assert_close(spec, run(*args), base.reference(spec, cotangent, inputs), "float32")
    finally:
        mlir.register_lowering(_platform._on_cpu_p, _platform._lower_kernels, platform="cpu")
        jax.clear_caches()


def test_vmap_and_a_loop():
    """Inside a batch, a loop and a conditional too."""
    spec = base.specs("depthwise_conv2d")[1]
    x, w, b = spec.make()
    function = base.public(spec, None)

    def run(xs, w):
        def step(carry, x):
            y = jax.lax.cond(x.sum() > 0, lambda x: function(x, w, b), lambda x: x, x)
            return carry + y.sum(), y

        return jax.lax.scan(step, jnp.zeros(()), xs)

    batch = jax.jit(jax.vmap(run, in_axes=(0, None)))
    xs = np.stack([np.stack([x, -x]), np.stack([2 * x, x])])
    assert "s3net_kernels." not in batch.trace(xs, w).lower(lowering_platforms=("cuda",)).as_text()
    total, _ = batch(xs, w)
    for n in range(2):
        np.testing.assert_allclose(total[n], run(xs[n], w)[0], rtol=1e-5)
