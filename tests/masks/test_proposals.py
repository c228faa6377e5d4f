"""The best target among many label maps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PilImage
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.io import from_array
from s3net_jax.masks import add_mask_as_label, find_proposed_segments, find_segments, find_vignette
from s3net_jax.masks.auto import Splits
from s3net_jax.masks.proposals import find_best_proposal
from s3net_jax.masks.shapes import find_central_parts, grow, make_disc, weigh_parts

SIDE = 96
CONFIG = SegmentConfig()


def circle(y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return np.hypot(rows - y, columns - x) < radius


def scene(dark_corners: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A dark disc on bright ground: the image, (SIDE, SIDE, 3) uint8, and the disc."""
    truth = circle(46, 50, 20)
    grey = np.where(truth, 80, 190)
    if dark_corners:
        grey = np.where(circle(48, 48, 58), grey, 10)
    grey = grey + np.random.default_rng(0).integers(-6, 7, grey.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1), truth


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


def noise(seed: int, count: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count, (SIDE, SIDE))


def test_the_map_that_shows_the_target_wins() -> None:
    image, truth = scene()
    maps = [noise(0), noise(1), np.where(truth, 7, 3), noise(2)]
    found = find_best_proposal(maps, image, CONFIG)
    assert found is not None and found.index == 2
    assert dice(found.mask, truth) > 0.99 and not found.ignored.any()


def test_of_equal_proposals_the_first_counts_on_any_number_of_cores(monkeypatch) -> None:
    image, truth = scene()
    maps = [noise(0, 3 + n % 9) for n in range(20)] + [truth.astype(int), 5 - truth.astype(int)]
    for cores in (1, 4):
        monkeypatch.setattr("s3net_jax.parallel.count_usable_cores", lambda cores=cores: cores)
        found = find_best_proposal(maps, image, CONFIG)
        assert found is not None and found.index == 20
        assert dice(found.mask, truth) > 0.99
        shuffled = find_best_proposal(maps[::-1], image, CONFIG)
        assert shuffled is not None and shuffled.index == 0
        assert shuffled.score == found.score
        np.testing.assert_array_equal(shuffled.mask, found.mask)


def test_a_target_in_two_clusters() -> None:
    image, truth = scene()
    halves = np.where(truth, 1 + (np.arange(SIDE) > 50), 0)
    found = find_best_proposal([halves], image, CONFIG)
    assert found is not None and dice(found.mask, truth) > 0.99


def test_the_vignette_is_no_target() -> None:
    image, truth = scene(dark_corners=True)
    dark = (image[..., 0] < 130).astype(int)  # lesion and corners in one cluster
    found = find_best_proposal([dark], image, CONFIG)
    assert found is not None and dice(found.mask, truth) > 0.99


def test_label_maps_of_any_size() -> None:
    image, truth = scene()
    large = np.kron(np.where(truth, 1, 0), np.ones((4, 4), int))
    found = find_best_proposal([large], image, CONFIG)
    assert found is not None and found.mask.shape == (128, 128)
    assert dice(found.mask, large[1::3, 1::3] == 1) > 0.98


@pytest.mark.parametrize(("shape", "small"), [((128, 30), (128, 30)), ((129, 30), (64, 15))])
def test_label_maps_are_reduced_to_128_pixels_a_side(shape, small) -> None:
    labels = np.zeros(shape, int)
    labels[40:80, 10:20] = 1
    image = np.repeat(np.where(labels, 60, 190).astype(np.uint8)[..., None], 3, -1)
    found = find_best_proposal([labels], image, CONFIG)
    assert found is not None and found.mask.shape == small


def test_a_single_cluster_is_no_proposal() -> None:
    image, _ = scene()
    assert find_best_proposal([np.zeros((SIDE, SIDE), int)], image, CONFIG) is None
    blank = np.zeros((SIDE, SIDE), int)
    results = [blank, blank + 1]
    segments, place = find_proposed_segments([blank] * 2, results, from_array(image), CONFIG)
    assert not segments.mask.any() and segments.target == () and place == 0
    assert segments.labels is blank and segments.mask.shape == blank.shape


def test_the_target_gets_a_new_label() -> None:
    image, truth = scene()
    maps = [noise(0), np.where(truth, 1, 0)]
    results = [np.zeros((SIDE, SIDE), np.int32), noise(5, 3).astype(np.int32)]
    local = SegmentConfig(choice="proposals", boundary="local")
    for config in (SegmentConfig(choice="proposals"), local):
        segments, place = find_proposed_segments(maps, results, from_array(image), config)
        assert place == 1 and segments.count == 4
        assert np.array_equal(segments.mask, np.isin(segments.labels, segments.target))
        assert dice(segments.mask, truth) > 0.97


def test_clusters_with_a_local_boundary() -> None:
    image, truth = scene()
    rough = circle(48, 47, 14).astype(np.int32)
    plain = find_segments(rough, from_array(image), CONFIG)
    local = find_segments(rough, from_array(image), SegmentConfig(boundary="local"))
    assert dice(plain.mask, truth) < 0.85 < 0.97 < dice(local.mask, truth)
    assert np.array_equal(local.mask, np.isin(local.labels, local.target))


def test_own_label_is_compact_and_keeps_the_rest() -> None:
    labels = np.zeros((8, 8), np.int32)
    labels[:, 5:] = 1
    mask = np.zeros((8, 8), bool)
    mask[2:4, 3:7] = True
    found = add_mask_as_label(labels, mask)
    assert found.count == 3 and np.array_equal(found.labels == found.target[0], mask)
    pairs = {(int(a), int(b)) for a, b in zip(labels[~mask], found.labels[~mask], strict=True)}
    assert len(pairs) == 2
    assert add_mask_as_label(labels, np.zeros((8, 8), bool)).target == ()


def test_vignette_takes_corners_and_black_edges_only() -> None:
    image, truth = scene(dark_corners=True)
    found = find_vignette(image)
    assert found[0, 0] and found[-1, -1] and not found[truth].any() and found.mean() < 0.4
    assert not find_vignette(scene()[0]).any()
    chest = np.full((SIDE, SIDE, 3), 150, np.uint8)
    chest[:12, 30:60] = 0  # air that holds no corner
    chest[40:60, 20:40] = 0  # a lung
    found = find_vignette(chest)
    assert found[:12, 30:60].all() and not found[40:60, 20:40].any()
    assert not find_vignette(np.zeros((SIDE, SIDE, 3), np.uint8)).any()


def test_parts() -> None:
    mask = circle(48, 48, 15) | circle(10, 10, 4) | circle(48, 75, 9)
    regions, weights = weigh_parts(mask)
    assert regions.max() == 3 and weights.shape == (3,)
    assert weights[regions[48, 48] - 1] == weights.max()
    kept = find_central_parts(mask, 0.25)
    assert kept[48, 48] and kept[48, 75] and not kept[10, 10]
    empty = np.zeros((8, 8), bool)
    assert weigh_parts(empty)[1].shape == (0,) and not find_central_parts(empty, 0.5).any()
    assert make_disc(2).shape == (5, 5) and make_disc(2).sum() == 13


@pytest.mark.parametrize("radius", [1, 6, 9])
def test_a_mask_grows_by_a_disc(radius: int) -> None:
    mask = np.random.default_rng(0).random((40, 50)) > 0.99
    assert (grow(mask, radius) == ndimage.binary_dilation(mask, make_disc(radius))).all()
    assert not grow(np.zeros((9, 9), bool), radius).any()


def test_a_large_picture_with_a_black_corner_takes_no_minutes() -> None:
    """A disc of a fortieth of the side as structuring element runs out of memory here."""
    image = np.full((16, 20_000, 3), 128, np.uint8)
    image[:, :200] = 2
    found = find_vignette(image)
    assert found[:, :600].all() and not found[:, 800:].any()


def test_proposals_of_a_picture_thinner_than_a_step() -> None:
    image = np.full((16, 4096, 3), 190, np.uint8)
    labels = np.zeros((16, 4096), int)
    labels[:, 1500:2500] = 1
    image[labels > 0] = 60
    found = find_best_proposal([labels], image, CONFIG)
    assert found is not None and found.mask.shape == (1, 128)


@pytest.mark.parametrize(("width", "is_target"), [(4, False), (5, True)])
def test_groups_under_a_five_hundredth_of_the_image_are_no_target(width: int, is_target) -> None:
    """18.4 of 9216 pixels: four times four are too few, four times five are enough."""
    image = np.full((SIDE, SIDE, 3), 190, np.uint8)
    labels = np.zeros((SIDE, SIDE), int)
    labels[46:50, 46 : 46 + width] = 1
    image[labels > 0] = 60
    found = find_best_proposal([labels], image, CONFIG)
    assert found is not None and found.mask[48, 48] and found.mask[0, 0] != is_target


@pytest.mark.parametrize(("radius", "stays"), [(6.6, True), (5.4, False)])
def test_parts_of_a_proposal_weigh_a_third_of_the_main_one(radius: float, stays: bool) -> None:
    """√area · exp(−2 d²): 0.33 and 0.27 of the disc in the middle."""
    truth = circle(47.5, 47.5, 10) | circle(47.5, 75.5, radius)
    _, weights = weigh_parts(truth)
    assert weights.min() / weights.max() == pytest.approx(0.33 if stays else 0.27, abs=0.01)
    image = np.repeat(np.where(truth, 60, 190).astype(np.uint8)[..., None], 3, -1)
    found = find_best_proposal([truth.astype(int)], image, CONFIG)
    assert found is not None and found.mask[48, 48] and found.mask[48, 75] == stays


def test_what_is_cleaned_away_counts_for_neither_side() -> None:
    """Air around a body is of the lungs' colour and in their cluster: it is ignored, and the
    score is that of the lungs in the body."""
    body, lungs = circle(48, 48, 40), circle(48, 32, 10) | circle(48, 64, 10)
    grey = np.where(body & ~lungs, 150, 60)
    image = np.repeat(grey.astype(np.uint8)[..., None], 3, -1)
    found = find_best_proposal([(grey < 100).astype(int)], image, CONFIG)
    assert found is not None
    np.testing.assert_array_equal(found.mask, lungs)
    np.testing.assert_array_equal(found.ignored, ~body)
    score = Splits(image.astype(np.float32) / 255).score(lungs[None], ~body[None])[0]
    assert found.score == pytest.approx(score) and score > 0.4


def test_the_target_at_another_size_keeps_its_place() -> None:
    """Drawn by the clusters, at the size of the label maps, then enlarged."""
    image, truth = scene()
    wide = image[:, 10:74]  # 96×64 pixels
    labels = truth[:, 10:74].astype(int)
    large = np.kron(wide, np.ones((3, 3, 1), np.uint8))
    result = np.zeros(large.shape[:2], np.int32)
    maps, picture = [noise(0)[:, :64], labels], from_array(large)
    segments, place = find_proposed_segments(maps, [result] * 2, picture, CONFIG)
    assert place == 1 and segments.mask.shape == (288, 192)
    whole = np.kron(labels, np.ones((3, 3))) > 0
    drawn_larger = PilImage.fromarray(labels.astype(np.uint8) * 255).resize(
        (192, 288), PilImage.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(segments.mask, np.asarray(drawn_larger) > 127)
    assert dice(segments.mask, whole) > 0.98 and segments.area == segments.mask.mean()
    drawn = SegmentConfig(boundary="local")
    local, _ = find_proposed_segments([labels], [result], picture, drawn)
    assert (local.mask != segments.mask).any() and dice(local.mask, whole) > 0.98
    odd = np.asarray(PilImage.fromarray(wide).resize((267, 400)))
    result = np.zeros(odd.shape[:2], np.int32)
    levels = PilImage.fromarray(labels.astype(np.uint8) * 255)
    levels = np.asarray(levels.resize((267, 400), PilImage.Resampling.BILINEAR))
    half, _ = find_proposed_segments([labels], [result], from_array(odd), CONFIG)
    np.testing.assert_array_equal(half.mask, levels >= 128)
    assert {127, 128} <= set(levels.flat)
    same, _ = find_proposed_segments([labels], [labels], from_array(wide), CONFIG)
    np.testing.assert_array_equal(same.mask, labels > 0)


def test_only_an_automatic_target_is_reduced_to_its_central_parts() -> None:
    """A rule given by the user selects everything that its clusters cover."""
    truth = circle(46, 50, 20) | circle(10, 10, 6)
    image = np.repeat(np.where(truth, 80, 190).astype(np.uint8)[..., None], 3, -1)
    labels = truth.astype(np.int32)
    found = {
        rule: find_segments(labels, from_array(image), SegmentConfig(target=rule, boundary="local"))
        for rule in ("auto", "dark")
    }
    assert not found["auto"].mask[10, 10] and found["dark"].mask[10, 10]
    assert all(one.mask[46, 50] and not one.notes("x") for one in found.values())
    blank = np.zeros_like(labels)
    empty = find_segments(blank, from_array(image), SegmentConfig(boundary="local"))
    assert empty.target == () and not empty.mask.any() and empty.count == 1
    (note,) = empty.notes("cat.png")
    assert note.startswith("cat.png collapsed into one cluster")
