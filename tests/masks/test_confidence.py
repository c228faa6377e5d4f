"""The expected DSC of a mask, and the advice to check it, on drawn pictures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.cluster.vq import kmeans2

from s3net_jax.baselines import BASELINES
from s3net_jax.config import SegmentConfig
from s3net_jax.io import from_array
from s3net_jax.masks import (
    CALIBRATIONS,
    CHECK_BELOW,
    Confidence,
    assess_mask,
    average_confidence,
    draw_best_proposal,
    find_segments,
    join_slices,
    rank_proposals,
)
from s3net_jax.presets import preset
from s3net_jax.run import assess_members
from s3net_jax.run.confidence import OPINIONS, find_opinions

SIDE = 96
CONFIG = preset("best")


def make_disc(contrast: float, noise: float = 6, seed: int = 0) -> np.ndarray:
    """A dark disc near the middle: (SIDE, SIDE, 3) uint8."""
    y, x = np.mgrid[:SIDE, :SIDE]
    disc = np.hypot(y - 46, x - 50) < 22
    random = np.random.default_rng(seed)
    grey = 180 - contrast * disc + noise * random.standard_normal((SIDE, SIDE))
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1)


def cluster(image: np.ndarray) -> list[np.ndarray]:
    """Label maps in place of those of fits: k-means with several numbers of clusters."""
    pixels = image.reshape(-1, 3).astype(float)
    return [
        kmeans2(pixels, count, minit="++", rng=np.random.default_rng(seed))[1].reshape(SIDE, SIDE)
        for seed in range(2)
        for count in (2, 3, 5, 8)
    ]


def assess(image: np.ndarray, maps: list[np.ndarray]) -> Confidence:
    ranking = rank_proposals(maps, image, CONFIG.segment)
    labels = [np.zeros((SIDE, SIDE), np.int32)] * len(maps)
    segments, _ = draw_best_proposal(ranking, labels, from_array(image), CONFIG.segment)
    found = assess_members(ranking, segments.mask, [0] * 4 + [1] * 4, CONFIG)
    assert found is not None
    return found


def test_a_clear_object_needs_no_check() -> None:
    image = make_disc(120)
    found = assess(image, cluster(image))
    assert found.expected_dsc > 0.9 and not found.check
    assert tuple(found.evidence) == tuple(CALIBRATIONS["proposals"].weights)
    assert all(0 <= value <= 1 for value in found.evidence.values())
    assert str(found) == f"expected DSC {found.expected_dsc:.2f}"


@pytest.mark.parametrize("seed", range(3))
def test_noise_has_to_be_checked(seed: int) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    found = assess(image, cluster(image))
    assert found.check and found.expected_dsc < 0.5
    assert str(found).endswith(": check this mask")


def test_a_single_colour_has_to_be_checked() -> None:
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    image[0, 0] = 121  # an image of one colour is refused when it is read
    maps = [np.random.default_rng(n).integers(0, 3, (SIDE, SIDE)) for n in range(8)]
    assert assess(image, maps).check
    assert assess(image, [np.zeros((SIDE, SIDE), int)] * 8) == Confidence(
        *(0.0, True, {}), "proposals"
    )


def test_confidence_falls_with_the_contrast() -> None:
    images = [make_disc(contrast, noise=20) for contrast in (100, 30, 5)]
    expected = [assess(image, cluster(image)).expected_dsc for image in images]
    assert expected[0] > expected[1] > expected[2]


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_image_has_the_same_confidence(axis: int) -> None:
    image = make_disc(60, noise=12)
    maps = cluster(image)
    found = assess(image, maps)
    mirrored = assess(np.flip(image, axis).copy(), [np.flip(m, axis).copy() for m in maps])
    for name, value in found.evidence.items():
        assert mirrored.evidence[name] == pytest.approx(value, abs=0.02), name
    assert mirrored.expected_dsc == pytest.approx(found.expected_dsc, abs=0.02)


def test_the_numbering_of_labels_does_not_matter() -> None:
    image = make_disc(60, noise=12)
    maps = cluster(image)
    assert assess(image, [7 - labels for labels in maps]) == assess(image, maps)


def test_only_the_label_map_counts_without_proposals() -> None:
    image = make_disc(120)
    ranking = rank_proposals(cluster(image), image, CONFIG.segment)
    other, mask = CONFIG.replace(segment={"boundary": "clusters"}), np.ones((SIDE, SIDE), bool)
    assert assess_members(ranking, mask, [0] * 8, other) is None
    assert assess_members(ranking, mask, [0], CONFIG) is None


def assess_single(image: np.ndarray, target: str, mask: np.ndarray | None = None) -> Confidence:
    """Assess a mask in a label map of three clusters; None takes the one of the target."""
    labels = cluster(image)[1]
    config = SegmentConfig(target=target)
    if mask is None:
        mask = find_segments(labels, from_array(image), config).mask
    return assess_mask(image, labels, mask, find_opinions, config)


def test_a_single_label_map() -> None:
    clear, faint = (assess_single(make_disc(contrast, 20), "auto") for contrast in (110, 12))
    assert clear.basis == "clusters" and not clear.check and faint.check
    assert tuple(clear.evidence) == tuple(CALIBRATIONS["clusters"].weights)
    assert all(0 <= value <= 1 for value in clear.evidence.values())
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    assert assess_single(noise, "auto").expected_dsc < 0.5


def test_a_target_that_a_person_chose() -> None:
    image = make_disc(110, 10)
    for contrast in (image, 255 - image):  # dark and bright objects alike
        rule = "dark" if contrast is image else "bright"
        found = assess_single(contrast, rule)
        assert found.basis == "choice" and not found.check
        assert tuple(found.evidence) == tuple(CALIBRATIONS["choice"].weights)
    shifted = np.roll(find_disc(image), 25, 1)
    assert assess_single(image, "dark", shifted).check  # an outline where no colour changes


def find_disc(image: np.ndarray) -> np.ndarray:
    config = SegmentConfig(target="dark")
    return find_segments(cluster(image)[1], from_array(image), config).mask


def test_a_mask_that_is_too_small_to_be_seen() -> None:
    image = np.repeat(np.repeat(make_disc(100), 8, 0), 8, 1)
    mask = np.zeros(image.shape[:2], bool)
    mask[300, 300] = True
    labels = np.zeros(mask.shape, np.int32)
    found = assess_mask(image, labels, mask, find_opinions, SegmentConfig())
    assert found == Confidence.of_empty_mask("clusters")
    mask[:400] = True  # all pixels have one label, so that no group of clusters is a proposal
    found = assess_mask(image, labels, mask, find_opinions, SegmentConfig())
    assert found.evidence["margin"] == 0


def test_slices_of_a_volume() -> None:
    good, bad = Confidence(0.9, False, {"a": 0.8}, "clusters"), Confidence.of_empty_mask("clusters")
    mask = np.ones((3, 4, 4), bool)
    found = join_slices([good, bad], [48, 16], mask)
    assert found.expected_dsc == pytest.approx((48 * 0.9 + 16 * 0) / 64) and found.check
    assert found.basis == "slices" and found.evidence == {"a": pytest.approx(0.8), "neighbours": 1}
    mask[1] = False  # the mask agrees with its neighbours by two thirds only
    found = join_slices([good, good], [16, 16], mask)
    assert found.expected_dsc == found.evidence["neighbours"] == pytest.approx(2 * 32 / (32 + 48))


@pytest.mark.parametrize("basis", CALIBRATIONS)
def test_the_logistic_map(basis: str) -> None:
    calibration = CALIBRATIONS[basis]
    evidence = {name: 0.1 * n for n, name in enumerate(calibration.weights)}
    total = calibration.constant
    for name, value in evidence.items():
        total += calibration.weights[name] * value
    expected = pytest.approx(1 / (1 + math.exp(-total)))
    assert calibration.expect(evidence) == calibration.expect(evidence | {"b": 1}) == expected
    # All measures are larger for better masks.
    assert all(weight > 0 for weight in calibration.weights.values())
    assert calibration.expect(dict.fromkeys(evidence, 0.0)) < CHECK_BELOW
    assert CHECK_BELOW < calibration.expect(dict.fromkeys(evidence, 1.0)) < 1


def test_the_mean_over_seeds() -> None:
    one = Confidence(0.9, False, {"a": 0.5, "b": 1}, "proposals")
    other = Confidence(0.5, True, {"a": 0.1}, "proposals")
    assert average_confidence([one]) is one
    found = average_confidence([one, other])
    assert found.expected_dsc == pytest.approx(0.7) and found.check
    assert found.evidence == {"a": pytest.approx(0.3)} and found.basis == "proposals"


def test_the_record_is_rounded() -> None:
    found = Confidence(0.912345, False, {"a": 0.123456}, "choice").to_record()
    assert found == {
        "expected_dsc": 0.9123,
        "check": False,
        "basis": "choice",
        "evidence": {"a": 0.1235},
    }


def test_opinions_exist() -> None:
    assert set(OPINIONS) <= set(BASELINES)
