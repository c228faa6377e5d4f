"""The target is found without ground truth, in the situations that matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3net_jax.config import ConfigError, SegmentConfig
from s3net_jax.io import InputError, from_array
from s3net_jax.masks import check_target, choose_target, compact_labels, segment_logits

SIDE = 96


def disc(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.hypot(rows - y, columns - x) < radius


def painted(labels: np.ndarray, levels: list[int]) -> np.ndarray:
    grey = np.array(levels)[labels] + np.random.default_rng(0).normal(0, 4, labels.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.fixture
def lesion() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Skin 0, rim 1, core 2, dark corners 3; the image; the lesion."""
    labels = np.zeros((SIDE, SIDE), int)
    labels[disc(44, 52, 22)] = 1
    labels[disc(44, 52, 14)] = 2
    labels[~disc(48, 48, 58)] = 3
    return labels, painted(labels, [200, 120, 70, 20]), disc(44, 52, 22)


@pytest.fixture
def chest() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Air and lungs 0 (one cluster), body 1, vessels and spine 2; the image; the lungs."""
    labels = np.zeros((SIDE, SIDE), int)
    labels[disc(48, 48, 40)] = 1
    lungs = disc(48, 30, 15) | disc(48, 66, 15)
    labels[lungs] = 0
    labels[disc(70, 48, 6) | disc(46, 30, 2)] = 2
    return labels, painted(labels, [5, 140, 230]), lungs | disc(46, 30, 2)


def test_auto_joins_core_and_rim(lesion) -> None:
    labels, image, truth = lesion
    target = choose_target(labels, image, SegmentConfig())
    assert dice(target.mask, truth) > 0.99 and set(target.labels) >= {1, 2}


def test_auto_finds_a_bright_target(lesion) -> None:
    labels, image, truth = lesion
    target = choose_target(labels, 255 - image, SegmentConfig())
    assert dice(target.mask, truth) > 0.99


def test_auto_finds_lungs_not_air(chest) -> None:
    labels, image, truth = chest
    target = choose_target(labels, image, SegmentConfig())
    assert target.labels == (0,) and dice(target.mask, truth) > 0.99


def test_auto_keeps_a_lesion_cut_by_the_border() -> None:
    labels = disc(30, 48, 40).astype(int)
    assert labels[0].any()
    target = choose_target(labels, painted(labels, [200, 90]), SegmentConfig())
    assert target.labels == (1,)


def test_dark_and_bright_pass_over_what_hangs_at_the_border(lesion, chest) -> None:
    labels, image, _ = lesion
    assert choose_target(labels, image, SegmentConfig(target="dark")).labels == (2,)
    free = SegmentConfig(target="dark", drop_border=False)
    assert choose_target(labels, image, free).labels == (3,)
    labels, image, truth = chest
    dark = choose_target(labels, image, SegmentConfig(target="dark"))
    assert dark.labels == (0,) and dice(dark.mask, truth) > 0.99
    assert choose_target(labels, image, SegmentConfig(target="bright")).labels == (2,)


def test_center_and_all(lesion) -> None:
    labels, image, truth = lesion
    center = choose_target(labels, image, SegmentConfig(target="center"))
    assert center.labels == (2,)
    everything = choose_target(labels, image, SegmentConfig(target="all"))
    assert everything.labels == (1, 2, 3), "skin has most of the border"
    assert dice(everything.mask, truth) > 0.99, "the corners touch the border and go"


def test_a_point_takes_its_region(chest) -> None:
    labels, image, _ = chest
    target = choose_target(labels, image, SegmentConfig(target="point:30,56"))
    np.testing.assert_array_equal(target.mask, disc(48, 30, 15))
    open_hole = SegmentConfig(target="point:30,56", fill_holes=False)
    assert not choose_target(labels, image, open_hole).mask[46, 30]


def test_a_point_outside_is_an_input_error(lesion) -> None:
    with pytest.raises(InputError, match=r"cat.png has 96×96 pixels: the point 96,3 lies outside"):
        choose_target(lesion[0], lesion[1], SegmentConfig(target="point:96,3"), "cat.png")


@pytest.mark.parametrize("word", ["centre", "point", "point:3", "point:a,b", "point:-1,2", ""])
def test_unknown_targets(word: str) -> None:
    with pytest.raises(ConfigError):
        check_target(word)


def test_one_cluster_has_no_target() -> None:
    labels = np.zeros((20, 20), int)
    target = choose_target(labels, painted(labels, [9]), SegmentConfig())
    assert target.labels == () and not target.mask.any()


@given(st.permutations(range(4)), st.sampled_from(["auto", "dark", "bright", "center", "all"]))
def test_numbering_does_not_matter(order: list[int], rule: str) -> None:
    labels = disc(40, 50, 30).astype(int) + disc(44, 52, 14) + 2 * disc(10, 10, 8)
    image = painted(labels, [200, 120, 60, 30])
    config = SegmentConfig(target=rule)
    first = choose_target(labels, image, config)
    second = choose_target(np.array(order)[labels], image, config)
    np.testing.assert_array_equal(first.mask, second.mask)
    assert {order[label] for label in first.labels} == set(second.labels)


@pytest.mark.parametrize("move", [np.flipud, np.fliplr, np.rot90])
@pytest.mark.parametrize("rule", ["auto", "dark", "bright", "center", "all"])
def test_flips_and_turns_commute(lesion, rule: str, move) -> None:
    labels, image, _ = lesion
    config = SegmentConfig(target=rule)
    first = choose_target(labels, image, config)
    moved = choose_target(
        np.ascontiguousarray(move(labels)), np.ascontiguousarray(move(image)), config
    )
    assert moved.labels == first.labels
    np.testing.assert_array_equal(moved.mask, move(first.mask))


def test_large_images_get_the_same_choice(lesion) -> None:
    labels, image, _ = lesion
    large = np.kron(labels, np.ones((5, 5), int))
    target = choose_target(large, np.repeat(np.repeat(image, 5, 0), 5, 1), SegmentConfig())
    assert target.labels == choose_target(labels, image, SegmentConfig()).labels
    assert target.mask.shape == large.shape


def test_from_logits_to_segments(lesion) -> None:
    labels, image, truth = lesion
    logits = np.eye(7)[labels[::3, ::3] + 2] * 9
    segments = segment_logits(logits, from_array(image), SegmentConfig())
    assert segments.labels.shape == image.shape[:2] and segments.count == 4
    assert dice(segments.mask, truth) > 0.93
    assert segments.area == pytest.approx(segments.mask.mean())
    np.testing.assert_array_equal(segments.labels, compact_labels(segments.labels))


@pytest.mark.parametrize("shape", [(16, 6000), (6000, 16)])
@pytest.mark.parametrize("target", ["auto", "dark", "center", "all"])
def test_pictures_thinner_than_a_step(shape: tuple[int, int], target: str) -> None:
    """The choice is made on every 24th row and column: of 16 there must be one left."""
    labels = np.zeros(shape, int)
    labels[6:10, 2000:4000] = 1
    labels[2000:4000, 6:10] = 1
    image = painted(labels, [200, 60])
    assert choose_target(labels, image, SegmentConfig(target=target)).mask.shape == shape
