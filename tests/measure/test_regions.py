"""Test measures of shapes whose sizes are known, with square and oblong pixels."""

# pyright: reportOperatorIssue=false
from __future__ import annotations

import math

import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.measure import measure_labels, measure_mask


def draw_disc(shape: tuple[int, int], middle: tuple[float, float], radius: float, height=1.0):
    """A disc; with pixels `height` times as high as wide, of `radius` widths."""
    y, x = np.indices(shape)
    return np.hypot((y - middle[0]) * height, x - middle[1]) <= radius


def test_rectangle() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 5:45] = True
    found = measure_mask(mask)
    assert (found["area_px"], found["area_fraction"]) == (400, 400 / 2400)
    assert (found["centroid_x_px"], found["centroid_y_px"]) == (24.5, 14.5)
    box = [found[f"bbox_{name}_px"] for name in ("x", "y", "width", "height")]
    assert box == [5, 10, 40, 10]
    assert found["feret_max_px"] == pytest.approx(math.hypot(10, 40))
    assert found["feret_min_px"] == pytest.approx(10)
    assert found["perimeter_px"] == pytest.approx(100, rel=0.07)
    assert found["major_axis_px"] == pytest.approx(4 * math.sqrt((40**2 - 1) / 12))
    assert found["minor_axis_px"] == pytest.approx(4 * math.sqrt((10**2 - 1) / 12))
    assert found["area_mm2"] is found["perimeter_mm"] is found["pixel_width_mm"] is None
    assert not any(name.startswith(("mean", "sd")) for name in found)


def test_disc() -> None:
    found = measure_mask(draw_disc((140, 150), (70, 80), 50), spacing=0.1)
    assert found["area_mm2"] == pytest.approx(math.pi * 25, rel=2e-3)
    assert found["perimeter_mm"] == pytest.approx(math.pi * 10, rel=0.01)
    # A disc of pixels reaches half a diagonal beyond the centres of its outer pixels.
    assert 10 <= found["feret_min_mm"] <= found["feret_max_mm"] <= 10 + 0.1 * math.sqrt(2)
    assert found["major_axis_mm"] == pytest.approx(10, rel=2e-3)
    assert found["eccentricity"] == pytest.approx(0, abs=1e-3)


def test_ring() -> None:
    """The outline of a hole is part of the perimeter, not of the diameter."""
    outer, inner = draw_disc((120, 120), (60, 60), 50), draw_disc((120, 120), (60, 60), 30)
    whole, ring = measure_mask(outer), measure_mask(outer & ~inner)
    assert ring["area_px"] == np.count_nonzero(outer) - np.count_nonzero(inner)
    assert ring["perimeter_px"] == pytest.approx(2 * math.pi * 80, rel=0.01)
    assert ring["feret_max_px"] == whole["feret_max_px"]
    assert ring["centroid_x_px"] == pytest.approx(60)


def test_a_disc_with_oblong_pixels_is_round() -> None:
    """Rows 0.5 mm apart, columns 0.2 mm apart."""
    mask = draw_disc((60, 160), (30, 80), 70, height=2.5)
    found = measure_mask(mask, spacing=(0.5, 0.2))
    assert (found["pixel_width_mm"], found["pixel_height_mm"]) == (0.2, 0.5)
    assert found["area_mm2"] == pytest.approx(np.count_nonzero(mask) * 0.1)
    assert found["area_mm2"] == pytest.approx(math.pi * 14**2, rel=5e-3)
    assert found["perimeter_mm"] == pytest.approx(2 * math.pi * 14, rel=0.01)
    assert 28 <= found["feret_max_mm"] <= 28 + math.hypot(0.5, 0.2)
    assert found["feret_min_mm"] == pytest.approx(28, rel=0.02)
    assert found["major_axis_mm"] == pytest.approx(28, rel=5e-3)
    assert found["eccentricity"] < 0.1 < measure_mask(mask)["eccentricity"]


def test_colours_and_values() -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    mask = random.random((20, 30)) < 0.3
    found = measure_mask(mask, colours)
    for channel, name in enumerate(("red", "green", "blue")):
        inside = colours[mask][:, channel].astype(float)
        assert found[f"mean_{name}"] == pytest.approx(inside.mean())
        assert found[f"sd_{name}"] == pytest.approx(inside.std())
    values = random.normal(-500, 100, (20, 30)).astype(np.float32)
    found = measure_mask(mask, values)
    assert found["mean_value"] == pytest.approx(values[mask].mean(), rel=1e-6)
    assert found["sd_value"] == pytest.approx(values[mask].std(), rel=1e-5)


@pytest.mark.parametrize("shape", [(9, 7), (4, 9, 7)])
def test_empty(shape: tuple[int, ...]) -> None:
    empty, full = np.zeros(shape, bool), np.ones(shape, bool)
    image = np.zeros(shape, np.uint8)
    found, other = measure_mask(empty, image, 0.5), measure_mask(full, image, 0.5)
    assert [*found] == [*other]
    zero = {name for name, value in found.items() if value == 0}
    flat = {"area_px", "area_fraction", "area_mm2"}
    solid = {"volume_voxels", "volume_fraction", "volume_mm3", "volume_ml"}
    assert zero == (flat if len(shape) == 2 else solid)
    place = {"pixel_width_mm", "pixel_height_mm", "slice_distance_mm", "pixel_size_from"}
    assert all(found[name] is None for name in found.keys() - zero - place)
    assert not {"area_mm2", "volume_mm3"} & {n for n, v in measure_mask(empty).items() if v == 0}


def test_single_pixel() -> None:
    mask = np.zeros((8, 8), bool)
    mask[3, 5] = True
    found = measure_mask(mask, spacing=(2, 1))
    assert (found["area_mm2"], found["feret_max_mm"]) == (2, pytest.approx(math.sqrt(5)))
    assert (found["centroid_x_px"], found["centroid_y_px"]) == (5, 3)
    assert (found["major_axis_px"], found["eccentricity"]) == (0, 0)


def test_volume() -> None:
    """A ball of 12 mm radius; slices 3 mm apart, pixels of 1 mm × 0.5 mm."""
    z, y, x = np.indices((12, 30, 60))
    mask = ((z - 5) * 3) ** 2 + (y - 15) ** 2 + ((x - 30) / 2) ** 2 <= 12**2
    values = np.where(mask, -800, 40).astype(np.int16)
    found = measure_mask(mask, values, spacing=(3, 1, 0.5))
    assert found["volume_voxels"] == np.count_nonzero(mask)
    assert found["volume_mm3"] == pytest.approx(np.count_nonzero(mask) * 1.5)
    assert found["volume_mm3"] == pytest.approx(4 / 3 * math.pi * 12**3, rel=0.03)
    assert found["volume_ml"] == pytest.approx(found["volume_mm3"] / 1000)
    assert 24 <= found["feret_max_mm"] <= 24 + math.sqrt(9 + 1 + 0.25)
    assert (found["mean_value"], found["sd_value"]) == (-800, 0)
    centre = [found["centroid_slice"], found["centroid_y_px"], found["centroid_x_px"]]
    assert centre == pytest.approx([5, 15, 30])
    assert (found["bbox_slice"], found["bbox_slices"]) == (1, 9)
    assert measure_mask(mask)["volume_ml"] is None


def test_labels() -> None:
    labels = np.zeros((10, 10), np.int32)
    labels[2:4, 2:5], labels[6:9, 6:8] = 2, 5
    found = measure_labels(labels, labels.astype(np.uint8))
    assert [(row["label"], row["area_px"]) for row in found] == [(0, 88), (2, 6), (5, 6)]
    assert [row["mean_value"] for row in found] == [0, 2, 5]
    for row in found:
        one = measure_mask(labels == row["label"])
        assert {name: row[name] for name in one} == one


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones(3),), r"shape \(3,\)"),
        ((np.ones((0, 4)),), r"shape \(0, 4\)"),
        ((np.ones((4, 4)), np.ones((4, 5))), r"image has shape \(4, 5\)"),
        ((np.ones((4, 4)), None, (1, 2, 3)), r"spacing can't be \(1, 2, 3\)"),
        ((np.ones((4, 4)), None, 0), "spacing can't be 0"),
        ((np.ones((4, 4)), None, math.nan), "spacing can't be nan"),
        ((np.ones((4, 4)), None, "wide"), "spacing can't be 'wide'"),
    ],
)
def test_bad_arguments(arguments: tuple, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        measure_mask(*arguments)


def test_labels_are_whole_numbers() -> None:
    with pytest.raises(ValueError, match="whole numbers of at least 0"):
        measure_labels(np.full((4, 4), -1))
    assert s3.measure.measure_labels is measure_labels
