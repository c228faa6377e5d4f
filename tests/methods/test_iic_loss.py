"""The loss of IIC against slow loops over displacements, and in cases with a known value."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from s3net_jax.methods.iic.loss import compute_joint, information_loss

SHAPE = (2, 7, 5)


def random_map(seed: int, clusters: int, shape=SHAPE) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(0, 2, (*shape, clusters))
    return special.softmax(logits, -1)


def random_valid(seed: int = 7, shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < 0.7


def count_slowly(first, second, displacement, valid=None) -> np.ndarray:
    """One pixel and one displacement at a time."""
    (images, height, width, clusters), others = first.shape, second.shape[-1]
    valid = np.ones(first.shape[:3], bool) if valid is None else valid
    tables = []
    for down in range(-displacement, displacement + 1):
        for right in range(-displacement, displacement + 1):
            table = np.zeros((clusters, others))
            for n, y, x in np.ndindex(images, height, width):
                other = y + down, x + right
                inside = 0 <= other[0] < height and 0 <= other[1] < width
                if inside and valid[n, y, x] and valid[(n, *other)]:
                    table += np.outer(first[n, y, x], second[(n, *other)])
            tables.append(table)
    return np.array(tables)


def compute_loss_slowly(first, second, displacement, weight=1.0, valid=None, collapsed=False):
    tables = count_slowly(first, second, displacement, valid)
    if collapsed:
        tables = tables.sum(0)[None]
    total = 0.0
    for table in tables:
        joint = table / table.sum()
        joint = np.maximum((joint + joint.T) / 2, 2.2e-16)
        marginal = joint.sum(1)
        for k, other in np.ndindex(joint.shape):
            expected = weight * np.log(marginal[k]) + weight * np.log(marginal[other])
            total -= joint[k, other] * (np.log(joint[k, other]) - expected)
    return total / len(tables)


def difference_quotients(function, x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        high, low = x.copy(), x.copy()
        high[index] += step
        low[index] -= step
        gradient[index] = (function(high) - function(low)) / (2 * step)
    return gradient


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("displacement", [0, 1, 6])
@pytest.mark.parametrize("masked", [False, True])
def test_counts_are_those_of_loops(displacement, masked):
    """Also for displacements larger than the map, and for maps with other numbers of clusters."""
    first, second = random_map(0, 3), random_map(1, 4)
    valid = random_valid() if masked else None
    found = compute_joint(
        jnp.asarray(first),
        jnp.asarray(second),
        displacement,
        None if valid is None else jnp.asarray(valid),
    )
    expected = count_slowly(first, second, displacement, valid)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("collapsed", [False, True])
@pytest.mark.parametrize(("displacement", "weight", "masked"), [(0, 1.0, False), (2, 1.5, True)])
def test_value_and_gradient_are_those_of_loops(collapsed, displacement, weight, masked):
    first, second = random_map(2, 3), random_map(3, 3)
    valid = random_valid() if masked else None

    def slow(first, second):
        return compute_loss_slowly(first, second, displacement, weight, valid, collapsed)

    def fast(first, second, weight):
        mask = None if valid is None else jnp.asarray(valid)
        return information_loss(
            first, second, displacement, weight, valid=mask, collapsed=collapsed
        )

    value, gradients = jax.value_and_grad(fast, argnums=(0, 1, 2))(
        jnp.asarray(first), jnp.asarray(second), jnp.asarray(weight)
    )
    np.testing.assert_allclose(value, slow(first, second), rtol=1e-12)
    expected = difference_quotients(lambda a: slow(a, second), first)
    np.testing.assert_allclose(gradients[0], expected, rtol=1e-6, atol=1e-9)
    expected = difference_quotients(lambda a: slow(first, a), second)
    np.testing.assert_allclose(gradients[1], expected, rtol=1e-6, atol=1e-9)
    by_weight = compute_loss_slowly(first, second, displacement, weight + 1, valid, collapsed)
    np.testing.assert_allclose(gradients[2], by_weight - value, rtol=1e-9)  # linear in λ


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("clusters", [2, 3, 5])
def test_equal_maps_of_equally_frequent_clusters_reach_the_minimum(clusters):
    labels = np.arange(2 * 6 * 5).reshape(2, 6, 5) % clusters
    map_ = jnp.asarray(np.eye(clusters)[labels])
    loss = information_loss(map_, map_, 0)
    np.testing.assert_allclose(loss, -np.log(clusters), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_maps_without_information_cost_nothing():
    uniform = jnp.full((1, 6, 5, 4), 0.25)
    np.testing.assert_allclose(information_loss(uniform, uniform, 2), 0, atol=1e-14)
    single = jnp.zeros((1, 6, 5, 4)).at[..., 1].set(1.0)
    np.testing.assert_allclose(information_loss(single, single, 2), 0, atol=1e-13)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("collapsed", [False, True])
def test_the_order_of_the_views_does_not_matter(collapsed):
    first, second = jnp.asarray(random_map(4, 4)), jnp.asarray(random_map(5, 4))
    valid = jnp.asarray(random_valid())

    def loss(first, second):
        return information_loss(first, second, 2, 1.5, valid=valid, collapsed=collapsed)

    np.testing.assert_allclose(loss(first, second), loss(second, first), rtol=1e-12)


def test_one_displacement_collapsed_is_the_same():
    first, second = jnp.asarray(random_map(4, 4)), jnp.asarray(random_map(5, 4))
    a, b = (information_loss(first, second, 0, collapsed=collapsed) for collapsed in (False, True))
    np.testing.assert_array_equal(a, b)


def test_confident_float32_maps_have_finite_gradients():
    labels = np.random.default_rng(0).integers(0, 3, SHAPE)
    map_ = jnp.asarray(np.eye(3)[labels], jnp.float32)
    for valid in (None, jnp.zeros(SHAPE, bool)):
        value, gradient = jax.value_and_grad(information_loss)(map_, map_, 2, valid=valid)
        assert np.isfinite(value)
        assert np.all(np.isfinite(gradient))


def test_pairs_of_a_batch_have_losses_of_their_own():
    firsts = jnp.asarray(np.stack([random_map(n, 3) for n in range(3)]), jnp.float32)
    seconds = jnp.asarray(np.stack([random_map(n + 9, 3) for n in range(3)]), jnp.float32)
    compute = jax.value_and_grad(lambda a, b: information_loss(a, b, 1, 1.5))
    values, gradients = jax.vmap(compute)(firsts, seconds)
    for n in range(3):
        value, gradient = compute(firsts[n], seconds[n])
        np.testing.assert_allclose(values[n], value, rtol=1e-5)
        np.testing.assert_allclose(gradients[n], gradient, rtol=1e-4, atol=1e-7)


def test_wrong_shapes_are_refused():
    map_ = jnp.ones((1, 4, 4, 2))
    with pytest.raises(ValueError, match=r"must have the shapes .* got \(1, 4, 4, 2\) and \(1, 4"):
        information_loss(map_, jnp.ones((1, 4, 5, 2)), 1)
    with pytest.raises(ValueError, match=r"displacement must be at least 0, got -1\."):
        information_loss(map_, map_, -1)
