"""The target is found without ground truth, in the situations that matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PilImage

from s3net_jax.config import ConfigError, SegmentConfig
from s3net_jax.io import InputError, from_array
from s3net_jax.masks import (
    check_point,
    check_target,
    choose_target,
    compact_labels,
    rescale_target,
    segment_logits,
)
from s3net_jax.masks.target import _reduce

SIDE = 96


def disc(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.hypot(rows - y, columns - x) < radius


def paint(labels: np.ndarray, levels: list[int]) -> np.ndarray:
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
    return labels, paint(labels, [200, 120, 70, 20]), disc(44, 52, 22)


@pytest.fixture
def chest() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Air and lungs 0 (one cluster), body 1, vessels and spine 2; the image; the lungs."""
    labels = np.zeros((SIDE, SIDE), int)
    labels[disc(48, 48, 40)] = 1
    lungs = disc(48, 30, 15) | disc(48, 66, 15)
    labels[lungs] = 0
    labels[disc(70, 48, 6) | disc(46, 30, 2)] = 2
    return labels, paint(labels, [5, 140, 230]), lungs | disc(46, 30, 2)


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
    target = choose_target(labels, paint(labels, [200, 90]), SegmentConfig())
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
    with pytest.raises(InputError, match=r"cat.png has 96×96 pixels; the point 96,3 is outside it"):
        choose_target(lesion[0], lesion[1], SegmentConfig(target="point:96,3"), "cat.png")


@pytest.mark.parametrize("word", ["centre", "point", "point:3", "point:a,b", "point:-1,2", ""])
def test_unknown_targets(word: str) -> None:
    with pytest.raises(ConfigError):
        check_target(word)


def test_one_cluster_has_no_target() -> None:
    labels = np.zeros((20, 20), int)
    target = choose_target(labels, paint(labels, [9]), SegmentConfig())
    assert target.labels == () and not target.mask.any()


@given(st.permutations(range(4)), st.sampled_from(["auto", "dark", "bright", "center", "all"]))
def test_numbering_does_not_matter(order: list[int], rule: str) -> None:
    labels = disc(40, 50, 30).astype(int) + disc(44, 52, 14) + 2 * disc(10, 10, 8)
    image = paint(labels, [200, 120, 60, 30])
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
    image = paint(labels, [200, 60])
    assert choose_target(labels, image, SegmentConfig(target=target)).mask.shape == shape


def test_a_point_at_another_size() -> None:
    """The pixel that holds the middle of the one asked for."""
    for place, expected in (("0,0", "0,0"), ("99,49", "19,19"), ("4,2", "0,1"), ("5,7", "1,3")):
        found = rescale_target(f"point:{place}", (50, 100), (20, 20), "x")
        assert found == f"point:{expected}"
    assert rescale_target("point:1,2", (3, 2), (30, 20), "x") == "point:15,25"
    assert rescale_target("dark", (50, 100), (20, 20), "x") == "dark"
    with pytest.raises(InputError, match="x has 100×50 pixels; the point 3,50 is outside it"):
        rescale_target("point:3,50", (50, 100), (20, 20), "x")


def test_points_at_the_edges() -> None:
    check_point("point:9,4", (5, 10), "x")
    check_point("auto", (5, 10), "x")
    for place in ("10,4", "9,5"):
        with pytest.raises(InputError, match=f"the point {place} is outside it"):
            check_point(f"point:{place}", (5, 10), "x")
    assert check_target("point: 3 , 4") == ("point", (3, 4))
    assert check_target("auto") == ("auto", None)


def test_a_point_takes_nothing_of_its_cluster_elsewhere() -> None:
    labels = np.zeros((9, 9), int)
    labels[1:4, 1:4] = labels[5:8, 5:8] = 3
    labels[6, 6] = 0
    image = paint(labels, [10, 20, 30, 40])
    target = choose_target(labels, image, SegmentConfig(target="point:5,5"))
    assert target.labels == (3,) and target.mask.sum() == 9 and target.mask[6, 6]
    edge = choose_target(labels, image, SegmentConfig(target="point:6,6", drop_border=True))
    assert edge.labels == (0,) and edge.mask.sum() == 1


@pytest.mark.parametrize(("side", "is_dark"), [(6, False), (7, True)])
def test_small_clusters_are_neither_dark_nor_bright(side: int, is_dark: bool) -> None:
    """Under 0.5 % of the image: 46 of 9216 pixels."""
    labels = np.zeros((SIDE, SIDE), int)
    labels[20:60, 20:60] = 1
    labels[30:37, 30 : 30 + side] = 2
    config = SegmentConfig(target="dark")
    assert choose_target(labels, paint(labels, [200, 90, 20]), config).labels == (1 + is_dark,)
    bright = SegmentConfig(target="bright")
    assert choose_target(labels, paint(labels, [20, 90, 200]), bright).labels == (1 + is_dark,)


def test_a_level_is_that_of_the_cleaned_cluster() -> None:
    """Of three clusters the first has black air at the border, the second is darker inside; equal
    ones go by label, and where all are at the border it is no reason against any of them."""
    labels = np.full((SIDE, SIDE), 2)
    labels[:, :20] = labels[40:60, 30:50] = 0
    labels[40:60, 60:80] = 1
    image = np.full((SIDE, SIDE, 3), 200, np.uint8)
    image[:, :20], image[40:60, 30:50], image[40:60, 60:80] = 0, 90, 60
    dark = SegmentConfig(target="dark")
    assert choose_target(labels, image, dark).labels == (1,)
    image[40:60, 60:80] = 100
    assert choose_target(labels, image, dark).labels == (0,)
    image[40:60, 60:80] = 90
    assert choose_target(labels, image, dark).labels == (0,)
    assert choose_target(np.array([1, 0, 2])[labels], image, dark).labels == (0,)
    stripes = np.repeat([[5, 4, 3]], 32, 1).repeat(96, 0)
    image = np.array([0, 0, 0, 90, 30, 60], np.uint8)[stripes][..., None].repeat(3, -1)
    assert choose_target(stripes, image, dark).labels == (4,)


@pytest.mark.parametrize(("radius", "is_inner"), [(10.5, False), (12, True)])
def test_the_centre_is_a_gaussian_of_a_tenth_of_the_side(radius: float, is_inner: bool) -> None:
    """Half of it lies within 1.18 of its deviation, 11.3 pixels."""
    labels = disc(47.5, 47.5, radius).astype(int)
    target = choose_target(labels, paint(labels, [9, 9]), SegmentConfig(target="center"))
    assert target.labels == (int(is_inner),)


def test_the_background_has_most_of_the_border_pixels() -> None:
    """Each counted once, corners too; of equal ones it is the first."""
    labels = np.ones((6, 6), int)
    labels[0, :] = labels[1:5, 0] = 2  # ten of the twenty pixels at the border
    labels[2:4, 2:4] = 7
    everything = SegmentConfig(target="all", drop_border=False)
    image = paint(labels, [9] * 8)
    assert choose_target(labels, image, everything).labels == (2, 7)
    labels[5, 0] = 2
    assert choose_target(labels, image, everything).labels == (1, 7)
    for place in ((5, 2), (0, 2), (2, 0), (2, 5)):
        other = np.full((6, 6), 3)
        other[0, :3] = other[-1, 3:] = other[:3, 0] = other[3:, -1] = 4  # ten again
        assert choose_target(other, image, everything).labels == (4,)
        other[place] = 7 - other[place]
        assert choose_target(other, image, everything).labels == (3 if other[place] == 4 else 4,)


@pytest.mark.parametrize(("shape", "small"), [((256, 9), (256, 9)), ((257, 20), (128, 10))])
def test_the_choice_is_made_on_256_pixels_a_side(shape, small) -> None:
    labels = np.arange(shape[0] * shape[1]).reshape(shape)
    picture = np.repeat((labels % 251).astype(np.uint8)[..., None], 3, -1)
    found, image = _reduce(labels, picture)
    assert found.shape == image.shape[:2] == small and image.dtype == np.uint8
    if small != shape:
        np.testing.assert_array_equal(found, labels[1::2, 1::2])
        expected = PilImage.fromarray(picture).resize((10, 128), PilImage.Resampling.BOX)
        np.testing.assert_array_equal(image, expected)
