"""The parts of DeepCluster: network, class-balanced loss, views, optimiser."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special

from s3net_jax.methods.deepcluster import DeepClusterNet
from s3net_jax.methods.deepcluster.augment import augment
from s3net_jax.methods.deepcluster.loss import balanced_cross_entropy, weigh_classes
from s3net_jax.methods.deepcluster.training import descend, make_optimizer, renew_head

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((2, 6, 5, 3)).astype(np.float32)


def build(channels: int = 6, clusters: int = 3, **settings) -> DeepClusterNet:
    return DeepClusterNet(3, channels, 2, clusters, **settings, rngs=nnx.Rngs(0))


class TestNetwork:
    def test_the_number_of_parameters(self):
        """9·3·100 + 100 and 9·100² + 100 of convolutions, 400 of norms, 303 of the head."""
        leaves = jax.tree.leaves(nnx.state(build(100), nnx.Param))
        assert sum(leaf.size for leaf in leaves) == 2800 + 90_100 + 400 + 303

    def test_initial_parameters_are_within_their_bounds(self):
        model = build(100)
        bounds = [(model.convolutions[0], 27), (model.convolutions[1], 900), (model.head, 100)]
        for layer, fan_in in bounds:
            for values in (layer.kernel[...], layer.bias[...]):
                assert jnp.max(jnp.abs(values)) <= fan_in**-0.5
            assert jnp.max(jnp.abs(layer.kernel[...])) > 0.95 * fan_in**-0.5

    def test_features_have_zero_mean_and_unit_variance(self):
        image = jnp.asarray(RANDOM.random((1, 20, 24, 3)), jnp.float32)
        features = build(8).encode(image)
        assert features.shape == (1, 20, 24, 8)
        varying = np.std(features, (0, 1, 2)) > 0  # ReLU may cut a channel off
        np.testing.assert_allclose(np.mean(features, (0, 1, 2)), 0, atol=1e-5)
        np.testing.assert_allclose(np.std(features, (0, 1, 2))[varying], 1, rtol=1e-2)

    def test_an_image_does_not_depend_on_others_in_its_batch(self):
        model, images = build(), jnp.asarray(IMAGES)
        singles = [model(image[None])[0] for image in images]
        np.testing.assert_allclose(model(images), np.stack(singles), atol=1e-5)


def compute_slowly(logits: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that occur of the mean cross entropy of their pixels."""
    log_p = special.log_softmax(logits, -1)
    costs: dict[int, list[float]] = {}
    for index in np.ndindex(labels.shape):
        costs.setdefault(int(labels[index]), []).append(-log_p[(*index, labels[index])])
    return float(np.mean([np.mean(found) for found in costs.values()]))


@pytest.mark.usefixtures("x64")
class TestLoss:
    @pytest.mark.parametrize(
        ("shape", "present"), [((1, 5, 3, 4), 4), ((2, 3, 7, 5), 2), ((1, 3, 3, 2), 1)]
    )
    def test_values_and_gradients_are_the_slow_versions(self, shape, present):
        logits = RANDOM.normal(0, 2, shape)
        labels = RANDOM.integers(0, present, shape[:-1])

        def compute(logits):
            given = jnp.asarray(labels)
            weights = weigh_classes(given, shape[-1], jnp.float64)
            return balanced_cross_entropy(logits, given, weights)

        value, gradient = jax.value_and_grad(compute)(jnp.asarray(logits))
        np.testing.assert_allclose(value, compute_slowly(logits, labels), rtol=1e-12)
        expected = np.zeros(shape)
        for index in np.ndindex(shape):
            step = np.zeros(shape)
            step[index] = 1e-6
            high, low = compute_slowly(logits + step, labels), compute_slowly(logits - step, labels)
            expected[index] = (high - low) / 2e-6
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)

    def test_weights_have_the_mean_one_and_each_class_the_same_share(self):
        labels = jnp.asarray([0] * 8 + [1] * 3 + [3])
        weights = weigh_classes(labels, 5, jnp.float64)
        np.testing.assert_allclose(weights, [12 / 24, 12 / 9, 0, 12 / 3, 0], rtol=1e-12)
        np.testing.assert_allclose(jnp.mean(weights[labels]), 1, rtol=1e-12)

    def test_balanced_classes_give_the_plain_cross_entropy(self):
        logits, labels = RANDOM.normal(size=(1, 2, 3, 3)), np.array([[[0, 1, 2], [2, 0, 1]]])
        given = jnp.asarray(labels)
        value = balanced_cross_entropy(jnp.asarray(logits), given, weigh_classes(given, 3))
        log_p = special.log_softmax(logits, -1)
        plain = -np.take_along_axis(log_p, labels[..., None], -1).mean()
        np.testing.assert_allclose(value, plain, rtol=1e-6)


class TestViews:
    LABELS = jnp.asarray(IMAGES[..., 0] > 0.5, jnp.int32)

    def test_without_views_nothing_changes(self):
        images, labels = augment(
            jax.random.key(0), jnp.asarray(IMAGES), self.LABELS, flip=False, jitter=0
        )
        np.testing.assert_array_equal(images, IMAGES)
        np.testing.assert_array_equal(labels, self.LABELS)

    def test_labels_are_mirrored_with_their_images(self):
        seen = set()
        for seed in range(8):
            images, labels = augment(
                jax.random.key(seed), jnp.asarray(IMAGES), self.LABELS, flip=True, jitter=0
            )
            np.testing.assert_array_equal(labels, images[..., 0] > 0.5)
            same = [np.array_equal(a, b) for a, b in zip(images, IMAGES, strict=True)]
            seen.add(tuple(same))
        assert len(seen) > 2  # each image is mirrored or not, independently

    def test_jitter_is_linear_within_its_range(self):
        inner = jnp.asarray(0.3 + 0.4 * IMAGES)  # nothing is cut off
        images, labels = augment(jax.random.key(1), inner, self.LABELS, flip=False, jitter=0.1)
        np.testing.assert_array_equal(labels, self.LABELS)
        for new, old in zip(np.asarray(images), np.asarray(inner), strict=True):
            contrast, offset = np.polyfit(old.ravel(), new.ravel(), 1)
            np.testing.assert_allclose(new, contrast * old + offset, atol=1e-5)
            assert 0.9 <= contrast <= 1.1 and contrast != 1
            assert abs(np.mean(new) - np.mean(old)) <= 0.1
        cut, _ = augment(
            jax.random.key(2), jnp.asarray(IMAGES), self.LABELS, flip=False, jitter=0.9
        )
        assert np.min(cut) >= 0 and np.max(cut) <= 1


@pytest.mark.usefixtures("x64")
class TestTraining:
    @pytest.mark.slow
    def test_two_steps_are_those_of_the_formula(self):
        """v ← μv + g + λp, p ← p − ηv, with μ = 0 for the head."""
        model = build(dtype="float64")
        graph, params = nnx.split(model, nnx.Param)
        images, labels = jnp.asarray(IMAGES, jnp.float64), TestViews.LABELS
        weights = jnp.asarray([1.0, 2.0, 0.5])
        optimizer = make_optimizer(0.05, 0.9, 0.01)
        state = optimizer.init(params)

        def compute_loss(params):
            logits = nnx.merge(graph, params)(images)
            return 1.5 * balanced_cross_entropy(logits, labels, weights)

        differentiate = jax.jit(jax.grad(compute_loss))
        step = jax.jit(
            lambda params, state: descend(
                graph, params, state, optimizer, images, labels, weights, 1.5
            )
        )
        expected, speed = params, jax.tree.map(jnp.zeros_like, params)
        for _ in range(2):
            decayed = jax.tree.map(lambda g, p: g + 0.01 * p, differentiate(expected), expected)
            speed = jax.tree.map(lambda v, g: 0.9 * v + g, speed, decayed)
            speed["head"] = decayed["head"]
            expected = jax.tree.map(lambda p, v: p - 0.05 * v, expected, speed)
            before = params
            params, state, ce, logits = step(params, state)
            np.testing.assert_allclose(1.5 * ce, compute_loss(before), rtol=1e-12)
            np.testing.assert_allclose(logits, nnx.merge(graph, before)(images), rtol=1e-12)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-14), params, expected
        )

    def test_a_new_head_is_small_and_changes_nothing_else(self):
        graph, params = nnx.split(build(400, 50), nnx.Param)
        new = nnx.to_pure_dict(renew_head(jax.random.key(0), graph, params))
        old = nnx.to_pure_dict(params)
        head = new["head"]
        np.testing.assert_allclose(jnp.std(head["kernel"]), 0.01, rtol=0.02)
        np.testing.assert_allclose(jnp.mean(head["kernel"]), 0, atol=4e-4)
        assert not np.any(head["bias"])
        for name in ("convolutions", "norms"):
            jax.tree.map(np.testing.assert_array_equal, new[name], old[name])
        assert np.any(old["head"]["bias"])  # the given parameters are not modified
