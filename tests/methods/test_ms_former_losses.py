"""The losses of MS-Former against slow NumPy versions and closed forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from s3net_jax.methods.ms_former.losses import compute_inter_scale_loss, compute_intra_scale_loss
from tests.methods import slow_ms_former as slow


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape)


def differentiate(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Differentiate by central differences, one number at a time."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[index] += step
        low[index] -= step
        gradient[index] = (function(high) - function(low)) / (2 * step)
    return gradient


@pytest.mark.usefixtures("x64")
class TestAgainstNumPy:
    @pytest.mark.parametrize("patches", [1, 4, 6, 9])
    def test_intra_scale(self, patches: int):
        attention = special.softmax(2 * random(2, patches, patches), -1)
        if patches == 1:
            attention = attention - 0.1  # away from the kink of |a| at A = I
        value, gradient = jax.value_and_grad(compute_intra_scale_loss)(jnp.asarray(attention))
        np.testing.assert_allclose(value, slow.compute_intra_scale_loss(attention), rtol=1e-12)
        expected = differentiate(slow.compute_intra_scale_loss, attention)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)

    @pytest.mark.parametrize("channels", [1, 2, 5])
    def test_inter_scale(self, channels: int):
        small, large = random(2, channels, channels), random(2, channels, channels, seed=1)
        value, gradients = jax.value_and_grad(compute_inter_scale_loss, argnums=(0, 1))(
            jnp.asarray(small), jnp.asarray(large)
        )
        slowly = slow.compute_inter_scale_loss
        np.testing.assert_allclose(value, slowly(small, large), rtol=1e-9, atol=1e-9)
        expected = [
            differentiate(lambda s: slowly(s, large), small),
            differentiate(lambda t: slowly(small, t), large),
        ]
        np.testing.assert_allclose(gradients, expected, rtol=1e-6, atol=1e-8)

    def test_intra_scale_is_twice_the_missing_diagonal(self):
        attention = special.softmax(random(3, 8, 8), -1)
        diagonal = np.mean(np.diagonal(attention, axis1=1, axis2=2))
        actual = compute_intra_scale_loss(jnp.asarray(attention))
        np.testing.assert_allclose(actual, 2 * (1 - diagonal) / 8, rtol=1e-12)

    def test_contexts_of_the_same_directions_have_no_inter_scale_loss(self):
        small = random(1, 4, 4)
        for factor in (1.0, 3.0):
            loss = compute_inter_scale_loss(jnp.asarray(small), jnp.asarray(factor * small))
            np.testing.assert_allclose(loss, 0, atol=1e-11)
        opposite = compute_inter_scale_loss(jnp.asarray(small), jnp.asarray(-small))
        np.testing.assert_allclose(opposite, 2, atol=1e-11)

    def test_rows_are_compared_not_columns(self):
        small = np.array([[[1.0, 0.0], [0.0, 2.0]]])
        rows, columns = np.array([[[3.0, 0.0], [0.0, 1.0]]]), np.array([[[1.0, 1.0], [0.0, 2.0]]])
        loss = [
            float(compute_inter_scale_loss(jnp.asarray(small), jnp.asarray(other)))
            for other in (rows, columns)
        ]
        np.testing.assert_allclose(loss, [0, (1 - np.sqrt(0.5)) / 2], atol=1e-11)


def test_the_identity_has_no_intra_scale_loss():
    assert compute_intra_scale_loss(jnp.tile(jnp.eye(9), (2, 1, 1))) == 0


def test_a_saturated_attention_has_no_gradient():
    """At A = I the absolute value has a kink, but the softmax passes no gradient there."""

    def compute_loss(similarity: jax.Array) -> jax.Array:
        return compute_intra_scale_loss(jax.nn.softmax(similarity, -1))

    value, gradient = jax.value_and_grad(compute_loss)(500 * jnp.eye(9)[None])
    assert value == 0
    assert not np.any(gradient)


def test_uniform_attention_of_64_patches():
    """The value that a fit at 257 pixels starts near: 2 · 63/64 / 64."""
    value = compute_intra_scale_loss(jnp.full((1, 64, 64), 1 / 64))
    np.testing.assert_allclose(value, 126 / 4096, rtol=1e-6)


def test_zero_contexts_have_a_finite_loss_and_gradient():
    zero = jnp.zeros((1, 3, 3))
    value, gradient = jax.value_and_grad(compute_inter_scale_loss)(zero, zero)
    assert value == 1
    assert np.all(np.isfinite(gradient))
