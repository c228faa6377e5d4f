"""Test second derivatives through a fit, which is itself a scan of gradient steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.fitting import fit, hyperparameters
from s3net_kernels import depthwise_conv2d, implementations

pytestmark = pytest.mark.usefixtures("x64")
KERNELS = [name for name in ("xla", "native") if implementations()["conv2d"][name] is None]


def compute_second_derivative(function: Any, at: float) -> tuple[Any, Any]:
    """Compute d²f/dx² by two gradients, and by the difference of two first derivatives."""
    first = jax.jit(jax.grad(function))
    step = 1e-5  # the quotient's error, about step², stays below 1e-5 of the derivative
    quotient = (first(at + step) - first(at - step)) / (2 * step)
    return jax.jit(jax.grad(jax.grad(function)))(at), quotient


@pytest.mark.slow
@pytest.mark.parametrize("implementation", KERNELS)
@pytest.mark.parametrize("remat", [False, True])
def test_of_a_scan_of_gradient_steps(implementation: str, remat: bool) -> None:
    x = jax.random.normal(jax.random.key(0), (1, 5, 5, 2))
    start, bias = jax.random.normal(jax.random.key(1), (3, 3, 2)), jnp.zeros(2)

    def loss(w):
        y = depthwise_conv2d(x, w, bias, dilation=1, implementation=implementation)
        return jnp.mean(y**3)

    def train(rate):
        def update(w):
            return w - rate * jax.grad(loss)(w)

        step = jax.checkpoint(update) if remat else update
        end, _ = jax.lax.scan(lambda w, _: (step(w), None), start, None, length=2)
        return jnp.sum(end**4)

    second, quotient = compute_second_derivative(train, 0.1)
    np.testing.assert_allclose(second, quotient, rtol=1e-5)


@pytest.mark.parametrize("implementation", KERNELS)
@pytest.mark.slow
def test_of_a_fit_can_be_traced(implementation: str) -> None:
    """Only traced, as compiling it takes minutes: that is where the rules of gradients meet.

    Run, both implementations agreed with the difference quotient of `released` to 1e-6.
    """
    model = {"channels": 2, "blocks": 1, "implementation": implementation, "dtype": "float64"}
    config = s3.preset("released").replace(model=model, fit={"steps": 2, "stop_labels": 0})
    image = jax.random.uniform(jax.random.key(0), (8, 8, 3))

    def sharpness(rate):
        hyper = dataclasses.replace(hyperparameters(config), learning_rate=rate)
        return jnp.mean(fit(jax.random.key(3), image, config, hyper=hyper).logits ** 4)

    assert jax.eval_shape(jax.grad(jax.grad(sharpness)), 0.1).shape == ()
