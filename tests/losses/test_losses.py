"""Every loss against a slow NumPy/SciPy version, in value and gradient."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, special

from s3net_jax import losses

SHAPE = (2, 7, 9, 5)


def random_logits(seed: int = 0, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, shape)


def numeric_gradient(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[index] += step
        low[index] -= step
        gradient[index] = (function(high) - function(low)) / (2 * step)
    return gradient


def compute_cross_entropy_slowly(logits: np.ndarray, labels: np.ndarray) -> float:
    log_p = special.log_softmax(logits, axis=-1)
    return -float(np.mean([log_p[(*i, labels[i])] for i in np.ndindex(labels.shape)]))


def compute_affine_slowly(logits: np.ndarray, labels: np.ndarray, valid: np.ndarray) -> float:
    log_p = special.log_softmax(logits, axis=-1)
    valid = np.broadcast_to(valid, labels.shape)
    chosen = [-log_p[(*i, labels[i])] for i in np.ndindex(labels.shape) if valid[i]]
    return float(np.mean(chosen)) if chosen else 0.0


def differentiate_slowly(a: np.ndarray) -> list[np.ndarray]:
    """d/dx, d/dy, d²/dxdy of a (H, W) map, by SciPy's correlation with OpenCV's kernels."""
    d, s = np.array([-1, 0, 1]), np.array([1, 2, 1])
    kernels = [np.outer(s, d), np.outer(d, s), np.outer(d, d)]
    return [ndimage.correlate(a, k, mode="mirror") for k in kernels]


def compute_spatial_slowly(logits: np.ndarray) -> float:
    p = special.softmax(logits, axis=-1)
    total = 0.0
    for n in range(p.shape[0]):
        for k in range(p.shape[-1]):
            x, y, xy = (np.abs(d) for d in differentiate_slowly(p[n, :, :, k]))
            total += np.sum(np.abs(x - y) + np.abs(x - xy) + np.abs(y - xy))
    return total / np.prod(p.shape[:-1])


def compute_hard_slowly(labels: np.ndarray, palette: np.ndarray) -> float:
    total = 0.0
    for painted in palette[labels]:
        x, y, xy = differentiate_slowly(painted)
        total += np.mean(np.abs(y - x)) + np.mean(np.abs(xy - x)) + np.mean(np.abs(xy - y))
    return float(total / len(labels))


@pytest.mark.usefixtures("x64")
class TestAgainstNumPy:
    def check(self, loss, slow, logits):
        value, gradient = jax.value_and_grad(loss)(jnp.asarray(logits))
        np.testing.assert_allclose(value, slow(logits), rtol=1e-12)
        expected = numeric_gradient(slow, logits)
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)

    def test_cross_entropy(self):
        logits = random_logits()
        labels = np.argmax(logits, -1)
        np.testing.assert_array_equal(losses.pseudo_label(jnp.asarray(logits)), labels)
        self.check(
            lambda s: losses.cross_entropy(s, jnp.asarray(labels)),
            lambda s: compute_cross_entropy_slowly(s, labels),
            logits,
        )

    def test_affine_consistency(self):
        logits = random_logits()
        labels = np.argmax(random_logits(1), -1)
        valid = np.random.default_rng(2).random(SHAPE[1:3]) < 0.6
        self.check(
            lambda s: losses.affine_consistency(s, jnp.asarray(labels), jnp.asarray(valid)),
            lambda s: compute_affine_slowly(s, labels, valid),
            logits,
        )

    def test_affine_consistency_without_a_valid_pixel_is_zero(self):
        logits = jnp.asarray(random_logits())
        labels, valid = losses.pseudo_label(logits), jnp.zeros(SHAPE[1:3], bool)
        value, gradient = jax.value_and_grad(losses.affine_consistency)(logits, labels, valid)
        assert value == 0
        assert not np.any(gradient)

    def test_spatial_consistency(self):
        self.check(losses.spatial_consistency, compute_spatial_slowly, random_logits())

    def test_hard_spatial_consistency(self):
        labels = np.argmax(random_logits(), -1)
        palette = np.random.default_rng(3).random(SHAPE[-1])
        value, gradient = jax.value_and_grad(losses.hard_spatial_consistency, argnums=1)(
            jnp.asarray(labels), jnp.asarray(palette)
        )
        np.testing.assert_allclose(value, compute_hard_slowly(labels, palette), rtol=1e-12)
        assert not np.any(gradient)

    def test_pseudo_label_passes_no_gradient(self):
        def through_label(logits):
            return jnp.sum(losses.pseudo_label(logits).astype(float))

        assert not np.any(jax.grad(through_label)(jnp.asarray(random_logits())))

    def test_spatial_consistency_charges_no_direction_more_than_its_mirror(self):
        logits = jnp.asarray(random_logits(shape=(1, 8, 8, 4)))
        expected = losses.spatial_consistency(logits)
        for turns in range(4):
            for flip in (False, True):
                turned = jnp.rot90(logits, turns, axes=(1, 2))
                turned = turned[:, ::-1] if flip else turned
                actual = losses.spatial_consistency(turned)
                np.testing.assert_allclose(actual, expected, rtol=1e-12)

    def test_both_diagonals_cost_the_same_only_when_soft(self):
        y, x = np.mgrid[:12, :12]
        falling, rising = (y > x).astype(int)[None], (y > 11 - x).astype(int)[None]

        def soft(labels):
            return losses.spatial_consistency(jnp.asarray(np.eye(2)[labels] * 9.0))

        def hard(labels):
            return losses.hard_spatial_consistency(jnp.asarray(labels), jnp.array([0.0, 1.0]))

        np.testing.assert_allclose(soft(falling), soft(rising), rtol=1e-12)
        assert abs(hard(falling) - hard(rising)) > 0.3 * hard(falling)

    def test_a_uniform_map_costs_nothing(self):
        assert losses.spatial_consistency(jnp.zeros(SHAPE)) == 0
        assert losses.hard_spatial_consistency(jnp.zeros(SHAPE[:3], int), jnp.ones(5)) == 0


def test_losses_are_finite_for_extreme_float32_logits():
    logits = jnp.asarray(random_logits() * 1e4, jnp.float32)
    labels = losses.pseudo_label(logits)
    for loss in (
        lambda s: losses.cross_entropy(s, labels),
        lambda s: losses.affine_consistency(s, labels, jnp.ones(SHAPE[1:3], bool)),
        losses.spatial_consistency,
    ):
        value, gradient = jax.value_and_grad(loss)(logits)
        assert np.isfinite(value)
        assert np.all(np.isfinite(gradient))


def test_labels_of_another_shape_are_refused():
    logits = jnp.zeros(SHAPE)
    for shape in ((2, 9, 7), (7, 9), (2, 7, 9, 1)):
        with pytest.raises(ValueError, match=r"^cross_entropy expects labels"):
            losses.cross_entropy(logits, jnp.zeros(shape, jnp.int32))
    with pytest.raises(ValueError, match=r"\(\.\.\., H, W, K\), got shapes"):
        losses.cross_entropy(logits[0, 0], jnp.zeros(SHAPE[2:3], jnp.int32))
