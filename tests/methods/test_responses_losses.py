"""Test the terms of SGSCN and DFC against slow NumPy versions and closed forms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from s3net_jax.methods.responses import compute_center_term, compute_continuity

SHAPES = [(1, 7, 9, 5), (2, 2, 2, 3), (1, 5, 13, 1), (3, 4, 3, 2)]


def draw_responses(shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1.5, shape)


def compute_continuity_slowly(r: np.ndarray) -> float:
    n, h, w, k = r.shape
    down = [abs(r[m, i + 1, j] - r[m, i, j]) for m, i, j in np.ndindex(n, h - 1, w)]
    right = [abs(r[m, i, j + 1] - r[m, i, j]) for m, i, j in np.ndindex(n, h, w - 1)]
    return np.sum(down) / (n * (h - 1) * w * k) + np.sum(right) / (n * h * (w - 1) * k)


def compute_center_slowly(r: np.ndarray, softmax: bool) -> float:
    n, h, w, k = r.shape
    r = special.softmax(r, -1) if softmax else r
    total = 0.0
    for m, c in np.ndindex(n, k):
        q = (r[m, :, :, c] + 1e-3) / np.sum(r[m, :, :, c] + 1e-3)
        places = {(i, j): (2 * j / w - 1, 2 * i / h - 1) for i, j in np.ndindex(h, w)}
        x = sum(q[p] * places[p][0] for p in places)
        y = sum(q[p] * places[p][1] for p in places)
        total += sum(q[p] * ((places[p][0] - x) ** 2 + (places[p][1] - y) ** 2) for p in places)
    return total / n


def differentiate(function, x: np.ndarray, step: float) -> np.ndarray:
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[index] += step
        low[index] -= step
        gradient[index] = (function(high) - function(low)) / (2 * step)
    return gradient


def check(loss, slow, r: np.ndarray) -> None:
    value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.asarray(r))
    np.testing.assert_allclose(value, slow(r), rtol=1e-12)
    expected = differentiate(slow, r, 1e-6)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7 * scale)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", SHAPES)
def test_continuity(shape):
    check(compute_continuity, compute_continuity_slowly, draw_responses(shape))


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("softmax", [True, False])
def test_center_term(shape, softmax):
    # Positive responses keep the released form's normaliser away from 0, where finite differences
    # fail.
    r = draw_responses(shape)
    check(
        lambda a: compute_center_term(a, softmax=softmax),
        lambda a: compute_center_slowly(a, softmax),
        r if softmax else np.abs(r) + 0.1,
    )


@pytest.mark.usefixtures("x64")
def test_continuity_of_a_ramp_is_its_slopes():
    y, x = np.mgrid[:6, :11]
    ramp = np.stack([2.0 * x - 3.0 * y, 0 * x], -1)[None]  # the second channel is constant
    np.testing.assert_allclose(compute_continuity(jnp.asarray(ramp)), (2 + 3) / 2)


@pytest.mark.slow
def test_continuity_of_a_constant_is_zero_with_zero_gradient():
    value, gradient = jax.value_and_grad(compute_continuity)(jnp.ones((1, 4, 5, 3)))
    assert value == 0
    assert not np.any(gradient)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_center_term_of_a_delta_is_zero():
    """A channel with all its weight on one pixel has no spread."""
    r = np.full((1, 6, 7, 2), -1e-3)
    r[0, 2, 3, 0] = r[0, 5, 1, 1] = 1.0
    np.testing.assert_allclose(compute_center_term(jnp.asarray(r), softmax=False), 0, atol=1e-15)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
def test_center_term_of_equal_weights_is_the_variance_of_the_grid():
    # The variance of 2i/n − 1 for i = 0..n−1 is (n² − 1)/(3 n²).
    expected = 4 * sum((n * n - 1) / (3 * n * n) for n in (6, 9))
    for softmax in (True, False):
        found = compute_center_term(jnp.ones((1, 6, 9, 4)), softmax=softmax)
        np.testing.assert_allclose(found, expected)


@pytest.mark.slow
def test_released_center_term_is_large_for_normalised_responses():
    """Responses of mean 0 have a normaliser near 1e-3·H·W, so the term has no natural scale."""
    r = draw_responses((1, 64, 64, 16))
    r = jnp.asarray((r - r.mean((1, 2))) / r.std((1, 2)), jnp.float32)
    assert abs(compute_center_term(r, softmax=False)) > 1e3
    assert 0 < compute_center_term(r, softmax=True) <= 2 * 16


@pytest.mark.slow
def test_sums_of_bfloat16_are_float32():
    r = jnp.asarray(draw_responses((1, 9, 8, 4)), jnp.bfloat16)
    wide = r.astype(jnp.float32)
    for loss in (compute_continuity, lambda a: compute_center_term(a, softmax=True)):
        assert loss(r).dtype == jnp.float32
        assert loss(r) == loss(wide)


@pytest.mark.parametrize("shape", [(4, 5, 3), (1, 1, 5, 3), (1, 5, 1, 3)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="compute_continuity"):
        compute_continuity(jnp.zeros(shape))
    if len(shape) != 4:
        with pytest.raises(ValueError, match="compute_center_term"):
            compute_center_term(jnp.zeros(shape), softmax=True)
