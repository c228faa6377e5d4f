"""Redrawn boundaries follow the edges of the image, whatever the first guess was."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as PilImage
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks import boundary
from s3net_jax.masks.boundary import (
    _blur,
    _close_parts,
    _compute_local_means,
    _compute_quotient,
    _drop_band,
    _enlarge,
    _keep_target,
    _make_half_blur,
    _resize_mask,
    redraw,
)
from s3net_jax.masks.cleanup import find_pockets
from s3net_jax.masks.shapes import make_disc

CONFIG = SegmentConfig(boundary="local")
SHAPE = (150, 200)
NOTHING = np.zeros((32, 32), bool)


def ellipse(y: float, x: float, height: float, width: float, shape=SHAPE) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return ((rows - y) / height) ** 2 + ((columns - x) / width) ** 2 < 1


def shade(truth: np.ndarray, inner: float = 90, outer: float = 190) -> np.ndarray:
    """(H, W, 3) uint8: a blurred edge, noise, and light that falls from left to right."""
    random = np.random.default_rng(0)
    grey = ndimage.gaussian_filter(np.where(truth, inner, outer).astype(float), 2)
    grey = grey * np.linspace(1.15, 0.8, truth.shape[1]) + random.normal(0, 6, truth.shape)
    return np.repeat(grey.clip(0, 255).astype(np.uint8)[..., None], 3, -1)


def crisp(truth: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: dark on bright."""
    return np.repeat(np.where(truth, 60, 200).astype(np.uint8)[..., None], 3, -1)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * float((a & b).sum()) / float(a.sum() + b.sum())


@pytest.mark.parametrize("size, shift", [(0.5, 0), (0.8, 8), (1.4, 0), (1.2, -10)])
def test_from_a_rough_guess(size: float, shift: float) -> None:
    truth = ellipse(70, 95, 35, 45)
    guess = ellipse(70 + shift, 95 + shift, 35 * size, 45 * size)
    found = redraw(shade(truth), guess, np.zeros(SHAPE, bool), CONFIG, central=True)
    assert found.shape == SHAPE and dice(found, truth) > 0.97


def test_a_bright_target_too() -> None:
    truth = ellipse(70, 95, 35, 45)
    image = shade(truth, 200, 110)
    found = redraw(image, ellipse(75, 90, 20, 25), NOTHING, CONFIG, central=True)
    assert dice(found, truth) > 0.97


def test_both_lungs_and_not_the_air_outside() -> None:
    body = ellipse(75, 100, 65, 90)
    truth = ellipse(75, 62, 38, 24) | ellipse(75, 138, 38, 24)
    grey = np.where(body & ~truth, 150, 12)
    grey[:, 60:140][~body[:, 60:140]] = 60  # not black: no vignette, and above and below the body
    image = np.repeat(grey.astype(np.uint8)[..., None], 3, -1)
    air = ~body
    found = redraw(image, truth & ellipse(70, 100, 60, 60), air, CONFIG, central=True)
    assert dice(found, truth) > 0.97


def test_the_gap_between_two_parts_that_nearly_meet_is_not_filled() -> None:
    truth = ellipse(75, 100, 55, 60) & ~ellipse(75, 100, 30, 32)
    truth[:, 98:102] = False  # half rings, four pixels apart at both ends
    image = np.repeat(np.where(truth, 60, 200).astype(np.uint8)[..., None], 3, -1)
    for joined in (False, True):
        image[:30, 98:102] = 60 if joined else 200  # one part, open below
        found = redraw(image, truth, np.zeros(SHAPE, bool), CONFIG, central=True)
        assert not found[75, 100] and dice(found, truth) > 0.95


def test_parts_that_were_not_there_before_stay_away() -> None:
    left, right = ellipse(75, 50, 30, 25), ellipse(75, 150, 30, 25)
    image = shade(left | right)
    found = redraw(image, ellipse(75, 50, 20, 20), NOTHING, CONFIG, central=False)
    assert dice(found, left) > 0.96
    both = redraw(image, ellipse(75, 50, 20, 20), NOTHING, CONFIG, central=True)
    assert dice(both, left | right) > 0.96


def test_level_moves_the_outline() -> None:
    truth = ellipse(70, 95, 35, 45)
    image = np.asarray(ndimage.gaussian_filter(shade(truth), (6, 6, 0)))
    areas = [
        redraw(image, truth, NOTHING, SegmentConfig(boundary_level=level), central=True).sum()
        for level in (0.3, 0.5, 0.7)
    ]
    assert areas[0] < areas[1] < areas[2]


def test_colors_that_count() -> None:
    truth, other = ellipse(70, 95, 35, 45), ellipse(60, 110, 35, 45)
    image = np.stack([shade(other)[..., 0], shade(other)[..., 0], shade(truth)[..., 0]], -1)
    blue = redraw(image, truth, NOTHING, CONFIG, central=True)
    assert dice(blue, truth) > 0.97
    red = SegmentConfig(boundary_colors=(1, 0, 0))
    assert dice(redraw(image, truth, NOTHING, red, central=True), other) > 0.97


def test_holes() -> None:
    truth = ellipse(75, 100, 50, 60) & ~ellipse(75, 100, 18, 20)
    image = shade(truth)
    filled = redraw(image, truth, NOTHING, CONFIG, central=True)
    assert filled[75, 100]
    kept = redraw(image, truth, NOTHING, SegmentConfig(fill_holes=False), central=True)
    assert not kept[75, 100]


def test_nothing_of_nothing() -> None:
    found = redraw(shade(ellipse(70, 95, 35, 45)), NOTHING, NOTHING, CONFIG, True)
    assert found.shape == SHAPE and not found.any()


@pytest.mark.parametrize(
    ("shape", "fine", "opened", "closed"),
    [((351, 700), (257, 512), 3, 8), ((60, 40), (60, 40), 1, 1), ((301, 111), (301, 111), 2, 5)],
)
def test_scales_of_a_redrawn_boundary(monkeypatch, shape, fine, opened, closed) -> None:
    """Means on a grid of 128 pixels, six times at most; the decision on 512 pixels, smoothed at
    two scales; discs of 0.5 and 1.6 % of the long side."""
    truth = ellipse(shape[0] / 2, shape[1] / 2, shape[0] / 3, shape[1] / 3, shape)
    image = shade(truth)
    radii, grids, scales = [], [], []

    def spy(name: str, note: Callable[..., None]) -> None:
        real = getattr(boundary, name)

        def called(*arguments):
            note(*arguments)
            return real(*arguments)

        monkeypatch.setattr(boundary, name, called)

    spy("_keep_target", lambda *arguments: radii.append(arguments[3]))
    spy("_close_parts", lambda mask, radius, fill: radii.append((radius, fill)))
    spy("_compute_local_means", lambda pixels, inside, counted: grids.append(pixels))
    spy("_compute_quotient", lambda pictures, means, colors: scales.append(pictures))
    found = redraw(image, truth, np.zeros(shape, bool), CONFIG, central=True)
    assert found.shape == shape
    *rounds, last, end = radii
    assert 1 <= len(rounds) <= 6 and set(rounds) == {1} and len(grids) == len(rounds)
    assert last == opened and end == (closed, True)

    def resized(size: tuple[int, int]) -> np.ndarray:
        picture = PilImage.fromarray(image).resize((size[1], size[0]), PilImage.Resampling.BOX)
        return np.asarray(picture).astype(np.float32) / 255

    coarse = ndimage.gaussian_filter(resized((128, 128)), (1, 1, 0))
    np.testing.assert_allclose(grids[0], coarse, rtol=1e-5)
    assert len(scales[-1]) == 2
    for pixels, share in zip(scales[-1], (0.001, 0.004), strict=True):
        sigma = share * max(fine)
        expected = ndimage.gaussian_filter(resized(fine), (sigma, sigma, 0))
        np.testing.assert_allclose(pixels, expected, rtol=1e-5)


@pytest.mark.parametrize("shape", [(9, 12), (40, 33), (700, 900)])
def test_any_size(shape: tuple[int, int]) -> None:
    truth = ellipse(shape[0] / 2, shape[1] / 2, shape[0] / 3, shape[1] / 3, shape)
    image = np.repeat(np.where(truth, 60, 200).astype(np.uint8)[..., None], 3, -1)
    found = redraw(image, truth, np.zeros(shape, bool), CONFIG, central=True)
    assert found.shape == shape and dice(found, truth) > 0.9


@pytest.mark.parametrize("width", [0.15, 0.25, 0.4])
def test_local_means_are_gaussian_to_single_precision(width):
    half = _make_half_blur(128, width)
    place = np.arange(128)
    table = np.exp(-((place[:, None] - place) ** 2) / (2 * (width * 128) ** 2))
    table /= table.sum(1).max()
    planes = np.random.default_rng(0).random((3, 128, 128), np.float32)
    expected = table @ planes.astype(np.float64) @ table.T
    error = np.abs(_blur(planes, half) - expected).max()
    # Sums of 128 terms along each of two axes.
    assert error <= np.sqrt(2 * 128) * np.finfo(np.float32).eps * expected.max()


def test_the_band_along_the_boundary_counts_where_nothing_else_is_left() -> None:
    """Two pixels wide, not along the image's own edge; with less than 0.2 % of the grid left
    beside it, the band counts after all."""
    side = np.zeros((100, 100), bool)
    side[:30, :40] = True
    counted = np.ones(side.shape, np.float32)
    counted[0, 0] = 0
    core = np.zeros(side.shape, bool)
    core[:28, :38] = True
    np.testing.assert_array_equal(_drop_band(side, counted), core * counted)
    small = np.zeros(side.shape, bool)
    small[50:59, 50:58] = True  # 5×4 pixels inside the band: 0.2 %
    np.testing.assert_array_equal(_drop_band(small, counted), small)
    small[50:59, 58] = True
    assert _drop_band(small, counted).sum() == 25


def test_local_means_against_the_formula() -> None:
    """Gaussians of three widths around every pixel, and a twentieth of the mean over the side."""
    random = np.random.default_rng(0)
    side = 24
    pixels = random.random((side, side, 3)).astype(np.float32)
    inside = np.zeros((side, side), bool)
    inside[5:19, 4:20] = True
    counted = (random.random(inside.shape) < 0.8).astype(np.float32)
    found = _compute_local_means(pixels, inside, counted)
    assert len(found) == 3
    place = np.arange(side)
    for pair, width in zip(found, (0.15, 0.25, 0.4), strict=True):
        table = np.exp(-((place[:, None] - place) ** 2) / (2 * (width * side) ** 2))
        table /= table.sum(1).max()
        for mean, part in zip(pair, (inside, ~inside), strict=True):
            weight = _drop_band(part, counted).astype(np.float64)
            share = table @ weight @ table
            for channel in range(3):
                plane = pixels[..., channel] * weight
                near = table @ plane @ table + 0.05 * plane.sum() / weight.sum()
                np.testing.assert_allclose(mean[..., channel], near / (share + 0.05), 1e-4)


def test_nothing_counted_has_no_mean() -> None:
    pixels = np.ones((16, 16, 3), np.float32)
    inside = np.zeros((16, 16), bool)
    inside[4:12, 4:12] = True
    for inner, outer in _compute_local_means(pixels, inside, inside.astype(np.float32)):
        np.testing.assert_allclose(inner, 1, 1e-5)
        np.testing.assert_array_equal(outer, 0)


def test_the_way_from_the_inner_mean_to_the_outer_one() -> None:
    """Mean over widths and scales; colours by their weights; no way where the means are equal."""
    colors = np.array([0, 1, 3], np.float32)
    inner = np.array([[[0.2, 0.4, 0.2]]], np.float32)
    outer = np.array([[[0.9, 0.6, 0.6]]], np.float32)
    pixel = np.array([[[0.5, 0.5, 0.3]]], np.float32)
    # 0.2 · 0.1 + 3 · 0.4 · 0.1 of 0.2² + 3 · 0.4²
    assert _compute_quotient([pixel], [(inner, outer)], colors)[0, 0] == pytest.approx(
        0.14 / 0.52, 1e-3
    )
    several = _compute_quotient([pixel, inner], [(inner, outer), (outer, inner)], colors)
    assert several[0, 0] == pytest.approx((0.14 / 0.52 + 0 + (1 - 0.14 / 0.52) + 1) / 4, 1e-3)
    assert _compute_quotient([pixel], [(inner, inner)], colors)[0, 0] == 0
    faint = inner + np.float32(0.001)
    assert _compute_quotient([faint], [(inner, faint)], colors)[0, 0] == pytest.approx(4 / 14, 0.01)


def rectangles(*corners: tuple[int, int, int, int], shape=(40, 60)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    for top, bottom, left, right in corners:
        mask[top:bottom, left:right] = True
    return mask


def test_parts_that_stay() -> None:
    """Of a target that is not central those with a fifth of themselves in the mask before; of a
    central one those with more than half outside of what is ignored, and of some weight."""
    left, right = rectangles((10, 20, 10, 20)), rectangles((10, 20, 40, 50))
    both, none = left | right, rectangles()
    round_left, round_right = (
        np.asarray(ndimage.binary_opening(part, make_disc(1)), bool) for part in (left, right)
    )
    area = int(round_right.sum())
    assert area == 96

    def kept(before: np.ndarray, apart: np.ndarray, central: bool, mask=both, **more) -> np.ndarray:
        return _keep_target(mask, before, apart, 1, SegmentConfig(**more), central)

    def first(count: int) -> np.ndarray:
        """So many pixels of the right part."""
        chosen = np.zeros(both.size, bool)
        chosen[np.flatnonzero(round_right)[:count]] = True
        return chosen.reshape(both.shape)

    opened = round_left | round_right
    np.testing.assert_array_equal(kept(left | first(20), none, False), opened)
    np.testing.assert_array_equal(kept(left | first(19), none, False), round_left)
    np.testing.assert_array_equal(kept(none, none, False), opened)
    np.testing.assert_array_equal(kept(none, first(47), True), opened)
    np.testing.assert_array_equal(kept(none, first(48), True), round_left)
    for width, stays in ((4, True), (3, False)):  # 0.54 and 0.46 of the main part's weight
        light = left | rectangles((15, 20, 40, 40 + width))
        assert kept(none, none, True, light)[:, 30:].any() == stays
    # One part stays whatever it covers, and what is too thin to be opened as it is.
    np.testing.assert_array_equal(kept(none, left, True, left), round_left)
    line = rectangles((10, 11, 10, 50))
    np.testing.assert_array_equal(kept(none, none, False, line), line)
    ring = left & ~rectangles((14, 15, 14, 15))
    assert not kept(none, none, False, ring, fill_holes=False)[14, 14]
    assert kept(none, none, False, left & ~rectangles((14, 16, 14, 16)))[14, 14]


def test_parts_are_closed_one_by_one() -> None:
    """A notch narrower than the disc is closed, also at the image's edge; a gap between two parts
    stays open."""
    mask = rectangles((0, 20, 0, 20), (0, 20, 23, 40)) & ~rectangles((0, 6, 8, 11))
    found = _close_parts(mask, 3, fill=True)
    assert found[2:6, 8:11].all() and not found[:, 20:23].any()
    np.testing.assert_array_equal(found[:, 23:], mask[:, 23:])
    wide = rectangles((0, 20, 0, 20)) & ~rectangles((0, 6, 5, 14))
    np.testing.assert_array_equal(_close_parts(wide, 3, fill=True)[:2], wide[:2])


def test_pockets_of_some_size_stay_open() -> None:
    """Holes that closing makes are filled up to 0.5 % of the image: here 12 of 2400 pixels."""
    for width, is_filled in ((4, True), (5, False)):
        ring = rectangles((10, 30, 10, 40)) & ~rectangles((15, 18, 20, 20 + width))
        opening = rectangles((10, 15, 21, 22))
        for fill in (True, False):
            found = _close_parts(ring & ~opening, 1, fill)
            assert found[12, 21], "the opening is closed"
            assert found[16, 21] == (is_filled and fill)
    holes = rectangles((0, 30, 0, 60)) & ~rectangles((5, 8, 5, 8), (5, 8, 15, 17), (20, 30, 20, 30))
    np.testing.assert_array_equal(find_pockets(holes, 6), rectangles((5, 8, 15, 17)))
    np.testing.assert_array_equal(find_pockets(holes, 9), rectangles((5, 8, 15, 17), (5, 8, 5, 8)))


def test_details_that_are_smoothed() -> None:
    """At 400 pixels a side: hairs up to four pixels wide and notches up to twelve go."""
    shape = (400, 400)
    body = rectangles((100, 300, 100, 300), shape=shape)
    for width, stays in ((4, False), (7, True)):
        truth = body | rectangles((40, 101, 200, 200 + width), shape=shape)
        found = redraw(crisp(truth), truth, np.zeros(shape, bool), CONFIG, central=True)
        assert found[60:90, 200 : 200 + width].any() == stays, width
    for width, is_open in ((9, False), (16, True)):
        truth = body & ~rectangles((99, 180, 200, 200 + width), shape=shape)
        found = redraw(crisp(truth), truth, np.zeros(shape, bool), CONFIG, central=True)
        assert found[120:150, 200 + width // 2].any() != is_open, width


def test_masks_and_means_at_another_size() -> None:
    mask = rectangles((10, 20, 10, 30))
    np.testing.assert_array_equal(_resize_mask(mask, (80, 120)), np.kron(mask, np.ones((2, 2))) > 0)
    assert _resize_mask(mask, (40, 60)) is mask
    means = np.random.default_rng(0).random((5, 5, 3)).astype(np.float32)
    large = _enlarge(means, (10, 20))
    assert large.shape == (10, 20, 3)
    np.testing.assert_allclose(large[0, 0], means[0, 0], 1e-6)
    np.testing.assert_allclose(large[-1, -1], means[-1, -1], 1e-6)
    between = 0.75 * means[0, :, 1] + 0.25 * means[1, :, 1]
    np.testing.assert_allclose(large[1, ::19, 1], between[::4], 1e-5)
