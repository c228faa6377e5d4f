"""``linear(..., through=True)``: x comes back, and both of its gradients are one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s3net_kernels import linear
from tests.kernels import base

# (shape, outputs, activation): several blocks of rows, odd numbers, tiles and rests.
CALLS = [((2, 5, 7, 3), 4, "gelu"), ((1, 11, 13, 64), 64, None), ((1, 63, 67, 20), 13, "gelu")]


def gradients(arrays, cotangents, implementation, activation):
    def run(x, w, b):
        return linear(x, w, b, activation=activation, through=True, implementation=implementation)

    values, back = jax.vjp(run, *arrays)
    return *values, *back(cotangents)


def problem(shape, outputs, dtype):
    random = np.random.default_rng(0)
    x = random.normal(size=shape)
    w, b = random.normal(size=(shape[-1], outputs)), random.normal(size=outputs)
    rest = jnp.float64 if dtype == jnp.float64 else jnp.float32
    arrays = jnp.asarray(x, dtype), jnp.asarray(w, rest), jnp.asarray(b, rest)
    cotangents = random.normal(size=(*shape[:-1], outputs)), random.normal(size=shape)
    return arrays, tuple(jnp.asarray(c, dtype) for c in cotangents)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("implementation", base.list_available("linear"))
def test_values_and_gradients(implementation, call, dtype):
    shape, outputs, activation = call
    arrays, cotangents = problem(shape, outputs, jnp.dtype(dtype))
    wide, dy = jax.tree.map(lambda a: a.astype(jnp.float64), (arrays, cotangents))
    expected = gradients(wide, dy, "reference", activation)
    run = jax.jit(lambda arrays, dy: gradients(arrays, dy, implementation, activation))
    actual = run(arrays, cotangents)
    assert [a.dtype for a in actual[:3]] == [jnp.dtype(dtype)] * 3
    rows = int(np.prod(shape[:-1]))
    for a, e, terms in zip(actual, expected, (shape[-1], 1, outputs, rows, rows), strict=True):
        assert base.relative_error(a, e) <= base.tolerance(dtype, terms)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", base.list_available("linear"))
def test_vmapped_is_one_by_one(implementation):
    arrays, cotangents = problem((3, 9, 4, 16), 8, jnp.float32)

    def one(x, w, dy, dx):
        return gradients((x, w, arrays[2]), (dy, dx), implementation, "gelu")

    weights = jnp.stack([arrays[1] * n for n in (1, 2, 3)])
    many = jax.vmap(one)(arrays[0], weights, *cotangents)
    for n in range(3):
        single = one(arrays[0][n], weights[n], cotangents[0][n], cotangents[1][n])
        for a, e in zip(many, single, strict=True):
            np.testing.assert_allclose(a[n], e, rtol=1e-5, atol=1e-5)


def test_the_skip_needs_no_separate_pass():
    """The gradient of a skip connection leaves no addition beside the kernel's call."""
    if "native" not in base.list_available("linear"):
        pytest.skip("there is no native library here")
    (x, w, b), (dy, _) = problem((1, 8, 8, 16), 16, jnp.float32)

    def loss(x):
        y, x = linear(x, w, b, activation="gelu", through=True, implementation="native")
        return jnp.vdot(linear(y, w, b, x, implementation="native"), dy)

    text = jax.jit(jax.grad(loss)).lower(x).as_text()
    assert "linear_backward" in text
    assert "stablehlo.add" not in text
