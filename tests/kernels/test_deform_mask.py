"""``deform_conv2d`` without a mask is the same as with ones, in every implementation."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels as kernels
from tests.kernels import base

SPEC = base.specs("deform_conv2d")[1]


def value_and_gradients(implementation, mask, x, offset, w, b):
    def run(x, offset, w, b):
        options = {"implementation": implementation}
        return jnp.sum(jnp.sin(kernels.deform_conv2d(x, offset, mask, w, b, **options)))

    return jax.jit(jax.value_and_grad(run, argnums=(0, 1, 2, 3)))(x, offset, w, b)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize("implementation", ["reference", "xla", "native", "pallas"])
def test_without_a_mask(implementation):
    x, offset, mask, w, b = SPEC.make()
    with kernels.config(interpret=True):
        if kernels.implementations()["deform_conv2d"][implementation] is not None:
            pytest.skip(f"{implementation} is not available")
        expected = value_and_gradients(implementation, np.ones_like(mask), x, offset, w, b)
        actual = value_and_gradients(implementation, None, x, offset, w, b)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, e)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", base.list_available("deform_conv2d"))
def test_vmap_without_a_mask(implementation):
    x, offset, _, w, b = (np.stack([a, 2 * a]) for a in SPEC.make())

    def run(x, offset, w, b):
        return kernels.deform_conv2d(x, offset, None, w, b, implementation=implementation)

    together = jax.jit(jax.vmap(run))(x, offset, w, b)
    for n in range(2):
        np.testing.assert_allclose(together[n], run(x[n], offset[n], w[n], b[n]), rtol=1e-5)


def test_ones_do_not_widen():
    x, offset, _, w, _ = (jnp.asarray(a, jnp.bfloat16) for a in SPEC.make())
    assert kernels.deform_conv2d(x, offset, None, w).dtype == jnp.bfloat16
