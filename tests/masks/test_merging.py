"""Test that clusters are merged to exactly the number asked for, as by Ward's method."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError
from s3net_jax.masks import Segments, compact_labels, label_instances, merge_clusters
from s3net_jax.presets import preset


def make_case(seed: int, count: int = 9) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    labels = compact_labels(random.integers(0, count, (20, 25)))
    colors = random.random((count, 3))[labels] + random.normal(0, 0.01, (20, 25, 3))
    return labels, colors


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("count", [2, 4, 8])
def test_merging_is_wards(seed: int, count: int) -> None:
    """SciPy's Ward, which starts from single points: every pixel has its cluster's mean."""
    labels, colors = make_case(seed)
    whole = Segments(labels, np.zeros(labels.shape, bool), ())
    found = merge_clusters(whole, colors, count)
    means = np.stack([colors[labels == n].mean(0) for n in range(labels.max() + 1)])
    expected = fcluster(linkage(means[labels.ravel()], "ward"), count, "maxclust")
    assert found.count == count
    assert np.array_equal(found.labels.ravel(), compact_labels(expected.reshape(20, 25)).ravel())
    assert found.notes("a") == whole.notes("a")


def test_the_target_stays_a_union_of_clusters() -> None:
    labels, colors = make_case(5)
    target = (2, 3, 7)
    mask = np.isin(labels, target)
    colors[mask] = colors[labels == 0].mean(0)  # as similar to another cluster as can be
    for count in range(2, 9):
        found = merge_clusters(Segments(labels, mask, target), colors, count)
        assert found.count == count and found.mask is mask
        assert np.array_equal(np.isin(found.labels, found.target), mask)
    assert len(found.target) > 1


def test_volumes_and_uint8() -> None:
    labels, colors = make_case(1)
    grey = np.round(colors[..., 0] * 200).clip(0, 255).astype(np.uint8)
    flat = merge_clusters(Segments(labels, labels == 0, (0,)), grey, 3)
    solid = merge_clusters(Segments(labels[None], labels[None] == 0, (0,)), grey[None], 3)
    assert np.array_equal(flat.labels, solid.labels[0]) and flat.target == solid.target


def test_too_few_clusters_are_noted_once() -> None:
    labels, colors = make_case(0, 3)
    whole = Segments(labels, labels == 0, (0,))
    assert merge_clusters(whole, colors, 0) is merge_clusters(whole, colors, 3) is whole
    found = merge_clusters(whole, colors, 5)
    assert found.labels is labels
    assert found.notes("a.png") == [
        "a.png has only 3 clusters, fewer than the 5 that segment.clusters asks for."
    ]


def test_the_number_is_checked_and_keeps_old_digests() -> None:
    for wrong in (1, -3):
        with pytest.raises(ConfigError, match=r"segment.clusters must be at least 2, or 0"):
            Config().replace(segment={"clusters": wrong})
    best = preset("best")
    assert best.replace(segment={"clusters": 4}).digest != best.digest
    assert best.replace(segment={"clusters": 0}).digest == best.digest


def test_instances() -> None:
    mask = np.zeros((8, 9), bool)
    mask[1:3, 1:3] = mask[3:6, 3:6] = mask[7, 0] = mask[7, 8] = True
    found = label_instances(mask)
    assert found.dtype == np.int32 and np.array_equal(found > 0, mask)
    assert (found[4, 4], found[1, 1], found[7, 0], found[7, 8]) == (1, 2, 3, 4)
    assert not label_instances(np.zeros((3, 3), bool)).any()
    stacked = label_instances(np.stack([mask, mask & (np.arange(9) < 3)]))
    assert stacked.max() == 4 and stacked[1, 1, 1] == stacked[0, 1, 1], "slices are connected"
