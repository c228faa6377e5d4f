"""``linear_norm``: what the argument specs do not cover: the bias, ``through``, far means."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels
from s3net_kernels import batch_norm, linear, linear_norm
from tests.kernels import base

pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
IMPLEMENTATIONS = [*base.list_available("linear_norm"), "pallas"]


def arrays(rows=(1, 9, 13), inputs=5, outputs=6, mean=0.0):
    random = np.random.default_rng(0)
    shapes = (
        (*rows, inputs),
        (inputs, outputs),
        (outputs,),
        (*rows, outputs),
        (outputs,),
        (outputs,),
    )
    x, w, b, residual, scale, bias = (
        jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes
    )
    return x, w, b + mean, residual, scale, bias


def gradients(function, args, cotangent):
    def run(args, cotangent):
        with s3net_kernels.config(interpret=True):
            value, back = jax.vjp(function, *args)
            return value, back(cotangent)

    return jax.jit(run)(args, cotangent)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_is_one_after_the_other(implementation, mean):
    """With a bias, far from zero too: the mean takes it away, and its gradient is zero."""
    args = arrays(mean=mean)
    cotangent = arrays()[3]

    def run_fused(x, w, b, residual, scale, bias):
        return linear_norm(x, w, b, residual, scale, bias, implementation=implementation)

    def run_in_turn(x, w, b, residual, scale, bias):
        z = linear(x, w, b, residual, implementation="reference")
        return batch_norm(z, scale, bias, implementation="reference")

    actual, expected = (
        gradients(run_fused, args, cotangent),
        gradients(run_in_turn, args, cotangent),
    )
    # So many digits the bias has taken from the rounded product.
    terms = 117 * max(1, int(mean))
    for n, (a, e) in enumerate(
        zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True)
    ):
        if n == 3:  # of the bias
            assert np.abs(a).max() < base.tolerance("float32", terms) * np.abs(cotangent).sum()
        else:
            assert base.relative_error(a, e) < base.tolerance("float32", terms)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_through(implementation):
    """x comes back, and its other gradient is added."""
    x, w, b, _, scale, bias = arrays(outputs=5)
    cotangents = arrays()[0], 2 * arrays()[0]

    def through(x, implementation):
        args = x, w, b, None, scale, bias
        return linear_norm(*args, through=True, implementation=implementation)

    def run(implementation):
        with s3net_kernels.config(interpret=True):
            values, back = jax.vjp(lambda x: through(x, implementation), x)
            return *values, *back(cotangents)

    for a, e in zip(run(implementation), run("reference"), strict=True):
        assert base.relative_error(a, e) < base.tolerance("float32", x.size)
    assert np.array_equal(run(implementation)[1], x)


def test_errors():
    x, w, b, residual, scale, bias = arrays()
    with pytest.raises(ValueError, match=r"b has shape \(5,\), expected \(6,\)"):
        linear_norm(x, w, b[:5], residual, scale, bias)
    with pytest.raises(ValueError, match=r"scale has shape \(5,\), expected \(6,\)"):
        linear_norm(x, w, b, residual, scale[:5], bias)
    with pytest.raises(ValueError, match=r"w has shape \(4, 6\), expected \(5, O\)"):
        linear_norm(x, w[:4], b, residual, scale, bias)
    with pytest.raises(ValueError, match="residual has shape"):
        linear_norm(x, w, b, residual[:, :3], scale, bias)
    with pytest.raises(ValueError, match="epsilon is -1"):
        linear_norm(x, w, b, residual, scale, bias, epsilon=-1)
