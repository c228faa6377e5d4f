"""Whitening and k-means against slow versions in NumPy."""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s3net_jax.methods import clustering


def draw_points(count: int, size: int, seed: int = 0) -> np.ndarray:
    """(count, size) correlated points around an origin that is not zero."""
    random = np.random.default_rng(seed)
    return random.normal(size=(count, size)) @ random.normal(size=(size, size)) + 2


def draw_groups(count: int, size: int, groups: int, seed: int = 0) -> np.ndarray:
    """(count, size) points in narrow groups of about the same number."""
    random = np.random.default_rng(seed)
    return random.normal(0, 3, (groups, size))[np.arange(count) % groups] + random.normal(
        0, 0.1, (count, size)
    )


def run_lloyd_slowly(
    points: np.ndarray, centroids: np.ndarray, iterations: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Centroids, labels and inertia, one point and one centroid at a time."""

    def find_nearest(point: np.ndarray) -> tuple[int, float]:
        distances = [sum((point - c) ** 2) for c in centroids]
        return int(np.argmin(distances)), min(distances)

    centroids = centroids.copy()
    for _ in range(iterations):
        labels = [find_nearest(point)[0] for point in points]
        for k in range(len(centroids)):
            centroids[k] = np.mean([p for p, y in zip(points, labels, strict=True) if y == k], 0)
    found = [find_nearest(point) for point in points]
    return centroids, np.array([y for y, _ in found]), float(np.mean([d for _, d in found]))


@pytest.mark.usefixtures("x64")
class TestWhitening:
    @pytest.mark.parametrize(("count", "size", "components"), [(101, 7, 7), (53, 5, 3), (20, 3, 1)])
    def test_the_covariance_becomes_the_identity(self, count, size, components):
        points = jnp.asarray(draw_points(count, size))
        white = clustering.whiten(points, clustering.measure_whitening(points, components))
        assert white.shape == (count, components)
        covariance = np.cov(np.asarray(white).T, bias=True).reshape(components, components)
        np.testing.assert_allclose(covariance, np.eye(components), atol=1e-10)
        np.testing.assert_allclose(np.mean(white, 0), 0, atol=1e-10)

    def test_the_components_are_those_of_a_singular_value_decomposition(self):
        points = draw_points(60, 6)
        centred = points - points.mean(0)
        left, _, _ = np.linalg.svd(centred, full_matrices=False)
        white = clustering.whiten(
            jnp.asarray(points), clustering.measure_whitening(jnp.asarray(points), 4)
        )
        # Equal up to the sign of each component.
        np.testing.assert_allclose(np.abs(white), np.abs(left[:, :4]) * np.sqrt(60), rtol=1e-8)

    def test_there_are_no_more_components_than_features(self):
        points = jnp.asarray(draw_points(40, 3))
        few, many = (clustering.measure_whitening(points, count) for count in (3, 9))
        np.testing.assert_array_equal(few.projection, many.projection)

    def test_components_without_variance_give_zeros(self):
        points = draw_points(40, 3)
        points = jnp.asarray(np.concatenate([points, points @ np.ones((3, 2))], 1))  # rank 3
        white = clustering.whiten(points, clustering.measure_whitening(points, 5))
        covariance = np.cov(np.asarray(white).T, bias=True)
        np.testing.assert_allclose(covariance, np.diag([1, 1, 1, 0, 0]), atol=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("x64")
def test_constant_points_become_zeros(dtype):
    points = jnp.full((30, 4), 0.7, dtype)
    white = clustering.whiten(points, clustering.measure_whitening(points, 3))
    assert not np.any(white)
    assert not np.any(clustering.normalise(white))


def test_normalised_points_have_unit_length():
    points = jnp.asarray(draw_points(50, 5), jnp.float32).at[3].set(0)
    lengths = np.linalg.norm(clustering.normalise(points), axis=-1)
    np.testing.assert_allclose(np.delete(lengths, 3), 1, rtol=1e-6)
    assert lengths[3] == 0


@pytest.mark.usefixtures("x64")
class TestLloyd:
    @pytest.mark.parametrize(("count", "size", "clusters"), [(97, 5, 3), (61, 2, 7), (30, 1, 2)])
    @pytest.mark.parametrize("iterations", [0, 1, 6])
    def test_centroids_labels_and_inertia_are_the_slow_versions(
        self, count, size, clusters, iterations
    ):
        points = draw_points(count, size)
        start = points[:clusters]
        expected = run_lloyd_slowly(points, start, iterations)
        result = clustering.kmeans(
            jax.random.key(0),
            jnp.asarray(points),
            clusters,
            iterations=iterations,
            start=jnp.asarray(start),
        )
        np.testing.assert_allclose(result.centroids, expected[0], rtol=1e-10)
        np.testing.assert_array_equal(result.labels, expected[1])
        np.testing.assert_allclose(result.inertia, expected[2], rtol=1e-10)
        assert result.labels.dtype == jnp.int32

    @pytest.mark.slow
    def test_the_seeds_are_those_of_k_means_plus_plus(self):
        points = jnp.asarray(draw_points(80, 4))
        key = jax.random.key(3)
        start = clustering.seed_centroids(jax.random.split(key)[0], points, 5)
        expected = run_lloyd_slowly(np.asarray(points), np.asarray(start), 8)
        result = clustering.kmeans(key, points, 5, iterations=8)
        np.testing.assert_allclose(result.centroids, expected[0], rtol=1e-10)
        np.testing.assert_array_equal(result.labels, expected[1])

    @pytest.mark.slow
    def test_the_inertia_never_grows(self):
        points = jnp.asarray(draw_points(200, 3))
        key = jax.random.key(1)
        iterate = jax.jit(
            lambda start: clustering.kmeans(key, points, 4, iterations=1, start=start)
        )
        results = [iterate(clustering.seed_centroids(key, points, 4))]
        for _ in range(8):
            results.append(iterate(results[-1].centroids))
        inertias = [float(result.inertia) for result in results]
        assert all(b <= a + 1e-12 for a, b in pairwise(inertias))
        assert inertias[-1] < inertias[0]


class TestEmptyClusters:
    def test_the_largest_cluster_is_split(self):
        """All seeds but one are far from every point."""
        points = jnp.asarray(draw_groups(120, 3, 4), jnp.float32)
        start = jnp.concatenate([points[:1], jnp.full((3, 3), 1e3)])
        result = clustering.kmeans(jax.random.key(0), points, 4, iterations=20, start=start)
        assert set(np.asarray(result.labels).tolist()) == {0, 1, 2, 3}

    def test_equal_seeds_are_separated(self):
        points = jnp.asarray(draw_groups(90, 2, 3), jnp.float32)
        start = jnp.broadcast_to(jnp.mean(points, 0), (3, 2))
        result = clustering.kmeans(jax.random.key(0), points, 3, iterations=20, start=start)
        assert set(np.asarray(result.labels).tolist()) == {0, 1, 2}

    def test_both_halves_have_about_as_many_points(self):
        points = jnp.asarray(np.random.default_rng(0).normal(size=(1000, 4)), jnp.float32)
        start = jnp.asarray([[0, 0, 0, 0], [99, 0, 0, 0]], jnp.float32)
        result = clustering.kmeans(jax.random.key(0), points, 2, iterations=1, start=start)
        assert 400 < np.sum(result.labels) < 600

    @pytest.mark.slow
    @pytest.mark.parametrize("value", [0.0, 0.3, -5.0])
    def test_equal_points_remain_in_one_cluster(self, value):
        points = jnp.full((25, 4), value, jnp.float32)
        result = clustering.kmeans(jax.random.key(0), points, 3)
        assert np.all(np.isfinite(result.centroids))
        assert len(set(np.asarray(result.labels).tolist())) == 1
        np.testing.assert_allclose(result.inertia, 0, atol=1e-5)

    @pytest.mark.slow
    def test_fewer_points_than_clusters(self):
        points = jnp.asarray([[0.0, 1.0], [3.0, 1.0]])
        result = clustering.kmeans(jax.random.key(0), points, 4)
        assert np.all(np.isfinite(result.centroids))
        assert result.labels[0] != result.labels[1]


class TestSeeding:
    KEYS = 4000

    def draw(self, points: list[float], clusters: int) -> np.ndarray:
        """(KEYS, clusters) seeds among points of one dimension."""
        column = jnp.asarray(points, jnp.float32)[:, None]
        keys = jax.random.split(jax.random.key(0), self.KEYS)
        seed = jax.jit(jax.vmap(lambda key: clustering.seed_centroids(key, column, clusters)))
        return np.asarray(seed(keys))[..., 0]

    def check(self, occurred: np.ndarray, probability: float) -> None:
        """A frequency is within four standard deviations of its probability."""
        deviation = np.sqrt(probability * (1 - probability) / len(occurred))
        assert abs(np.mean(occurred) - probability) <= 4 * deviation

    def test_the_first_is_uniform_and_the_second_by_squared_distance(self):
        points = [0.0, 1.0, 3.0, 7.0]
        seeds = self.draw(points, 2)
        for first in points:
            self.check(seeds[:, 0] == first, 1 / 4)
            squares = np.array([(first - second) ** 2 for second in points])
            for second, square in zip(points, squares, strict=True):
                after = seeds[seeds[:, 0] == first, 1]
                self.check(after == second, square / squares.sum())

    def test_the_third_is_by_distance_from_the_nearest(self):
        seeds = self.draw([0.0, 10.0, 11.0, 13.0], 3)
        chosen = seeds[(seeds[:, 0] == 0) & (seeds[:, 1] == 11)]
        self.check(chosen[:, 2] == 13, 4 / 5)  # 2² against 1² for 10

    def test_a_point_is_chosen_twice_only_if_no_other_is_left(self):
        seeds = self.draw([0.1, 0.4, 0.5], 3)
        assert np.all(np.sort(seeds, 1) == np.array([0.1, 0.4, 0.5], np.float32))
        assert set(self.draw([0.4, 0.4], 3).ravel().tolist()) == {float(np.float32(0.4))}


@pytest.mark.slow
def test_a_map_over_fits_gives_each_fits_result():
    points = jnp.asarray([draw_groups(64, 4, 3, seed) for seed in range(3)], jnp.float32)
    keys = jax.random.split(jax.random.key(0), 3)

    def cluster(key, points):
        white = clustering.whiten(points, clustering.measure_whitening(points, 3))
        return clustering.kmeans(key, clustering.normalise(white), 3)

    mapped = jax.jit(jax.vmap(cluster))(keys, points)
    compiled = jax.jit(cluster)
    for n in range(3):
        single = compiled(keys[n], points[n])
        np.testing.assert_array_equal(mapped.labels[n], single.labels)
        np.testing.assert_allclose(mapped.inertia[n], single.inertia, rtol=1e-4)


@pytest.mark.parametrize("mapped", [False, True])
def test_no_tensor_has_an_axis_for_points_clusters_and_components(mapped):
    """The largest array is that of the points, whatever the number of clusters."""

    def cluster(points):
        return clustering.kmeans(jax.random.key(0), points, 6)

    batch = (2,) if mapped else ()
    jaxpr = jax.make_jaxpr(jax.vmap(cluster) if mapped else cluster)(jnp.zeros((*batch, 100, 8)))
    text = str(jaxpr)
    assert "[2,6,100]" in text if mapped else "[6,100]" in text
    for axes in ("100,6,8", "6,100,8", "100,8,6", "8,100,6"):
        assert axes not in text
