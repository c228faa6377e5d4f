"""A frame line does not hide the black surround behind it, at any size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.io.colors import LUMA
from s3net_jax.masks.vignette import (
    _is_hidden,
    _measure_line_width,
    find_frame_lines,
    find_vignette,
    resize_vignette,
)

SIZES = (256, 300, 512, 768, 1022)


def scene(side: int, line: int = 0, value: int = 255) -> np.ndarray:
    """A disc of skin with a lesion in a black surround, the same at each size, and a frame line of
    ``line`` pixels."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    image = np.full((side, side, 3), (6, 6, 7), np.uint8)
    image[np.hypot(y - 0.5, x - 0.5) < 0.55] = (205, 160, 140)
    image[np.hypot(y - 0.52, x - 0.47) < 0.17] = (105, 62, 48)
    if line:
        image[:line] = image[-line:] = image[:, :line] = image[:, -line:] = value
    return image


def dice(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def shrink(image: np.ndarray, side: int = 128) -> np.ndarray:
    return np.asarray(PilImage.fromarray(image).resize((side, side), PilImage.Resampling.BOX))


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("value", [255, 130, 60])
def test_a_frame_line_hides_nothing(side: int, value: int) -> None:
    plain = scene(side)
    outside, small = find_vignette(plain), find_vignette(shrink(plain))
    assert outside[0, 0] and not outside[side // 2, side // 2] and not outside[0, side // 2]
    for line in (1, 2, 3, 4, 5, 6) if side < 400 else (2, 6):
        image = scene(side, line, value)
        # Both edges of the surround can move by a pixel, where lines are mixed with it.
        assert dice(find_vignette(image), outside) > 0.9, line
        assert dice(resize_vignette(image, shrink(image)), small) > 0.9, line
    file = io.BytesIO()
    PilImage.fromarray(scene(side, 2, value)).save(file, "JPEG", quality=75)
    assert dice(find_vignette(np.asarray(PilImage.open(file))), outside) > 0.9


@pytest.mark.parametrize("value", [255, 60])
def test_the_answer_is_the_same_at_each_size(value: int) -> None:
    found = [
        shrink(find_vignette(scene(side, 3, value)).astype(np.uint8) * 255) > 127 for side in SIZES
    ]
    for other in found[1:]:
        assert dice(found[0], other) > 0.9


def test_a_line_cropped_at_one_side(side: int = 300) -> None:
    image = scene(side, 3)[:-3]
    assert dice(find_vignette(image), find_vignette(scene(side)[:-3])) > 0.9


def test_two_lines_around_one_another(side: int = 300) -> None:
    image = scene(side, 3)
    image[0] = image[-1] = image[:, 0] = image[:, -1] = 0
    assert dice(find_vignette(image), find_vignette(scene(side))) > 0.9


def test_a_line_in_front_of_skin_is_no_surround(side: int = 300) -> None:
    image = np.full((side, side, 3), (205, 160, 140), np.uint8)
    image[120:180, 120:180] = (105, 62, 48)
    for value in (255, 100):
        framed = image.copy()
        framed[:2] = framed[-2:] = framed[:, :2] = framed[:, -2:] = value
        assert not find_vignette(framed).any()


def test_a_broad_white_border_is_a_background(side: int = 300) -> None:
    image = np.full((side, side, 3), 255, np.uint8)
    image[40:-40, 40:-40] = 5
    image[60:-60, 60:-60] = 160
    assert not find_vignette(image).any()


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values.astype(np.uint8)[..., None], 3, -1)


@pytest.mark.parametrize("side, edge, width", [(256, 20, 26), (512, 40, 51), (128, 10, 13)])
def test_a_dark_corner_grows_by_a_fortieth_of_the_side(side: int, edge: int, width: int) -> None:
    luminance = np.full((side, side // 2), 200)
    luminance[:edge, :edge] = 0
    found = find_vignette(grey(luminance))
    np.testing.assert_array_equal(np.flatnonzero(found[:, 0]), np.arange(width))
    np.testing.assert_array_equal(np.flatnonzero(found[0]), np.arange(width))
    assert not found[width - 1, width - 1]


@pytest.mark.parametrize(
    ("value", "corner", "side"),
    [(70, True, False), (90, False, False), (18, True, True), (22, True, False)],
)
def test_corners_are_dark_and_other_borders_black(value: int, corner: bool, side: bool) -> None:
    """Under 0.4 and under 0.1 of the luminance of 200 that a fifth of the pixels exceed."""
    luminance = np.full((256, 256), 200)
    luminance[-30:, -30:] = luminance[100:140, :20] = luminance[100:140, 100:140] = value
    found = find_vignette(grey(luminance))
    assert found[-10, -10] == corner and found[120, 10] == side and not found[120, 120]


@pytest.mark.parametrize(("bright", "is_dark"), [(0.19, False), (0.22, True)])
def test_bright_is_what_a_fifth_of_the_pixels_exceed(bright: float, is_dark: bool) -> None:
    luminance = np.full((200, 200), 120)
    luminance[:, round(200 * (1 - bright)) :] = 250
    luminance[:30, :30] = 70
    assert find_vignette(grey(luminance))[5, 5] == is_dark


@pytest.mark.parametrize(("side", "widest"), [(40, 5), (64, 8), (256, 8), (400, 12)])
def test_frame_lines_of_every_width(side: int, widest: int) -> None:
    """Up to 3 % of the short side or eight pixels, and an eighth of it."""
    corners = np.where(np.abs(np.arange(side) - (side - 1) / 2) > 0.25 * side, 5, 150)
    for line in (1, widest, widest + 1):
        # As wide again as high: the short side counts.
        luminance = np.minimum.outer(corners, corners.repeat(2)) * 1.0
        luminance[:line] = luminance[-line:] = 255
        luminance[:, :line] = luminance[:, -line:] = 255
        assert find_frame_lines(luminance) == ((line,) * 4 if line <= widest else (0,) * 4)
    assert not any(find_frame_lines(scene(side) @ LUMA))
    assert find_frame_lines(scene(side, 2)[1:, :-1] @ LUMA) == (1, 2, 2, 1)


def test_a_frame_has_lines_at_three_sides() -> None:
    luminance = scene(256, 3) @ LUMA
    assert find_frame_lines(luminance[3:]) == (0, 3, 3, 3)
    assert not any(find_frame_lines(luminance[3:, :-3]))
    assert not any(find_frame_lines(luminance[3:-3]))


def test_how_many_rows_are_a_line() -> None:
    """Of a bright luminance of 200: even rows have 95 % of their pixels within 30 of the median,
    light ones a median of 40."""

    def width(*rows: list[int]) -> int:
        return _measure_line_width(np.array(rows, float), 200.0)

    inner = [0, 200] * 50
    assert width([200] * 100, [90] * 100, inner, [200] * 100) == 2
    assert width(inner, [200] * 100) == 0
    assert width([100] * 95 + [0] * 5, inner) == 1 and width([100] * 94 + [0] * 6, inner) == 0
    assert width([100] * 90 + [130] * 5 + [70] * 5, inner) == 1
    assert width([100] * 90 + [131] * 10, inner) == width([100] * 90 + [69] * 10, inner) == 0
    assert width([40] * 100, inner) == 1 and width([39] * 100, inner) == 0
    # A dark line between light ones belongs to them, one further in does not.
    assert width([90] * 100, [0] * 100, [90] * 100, [0] * 100, inner) == 3
    assert width([0] * 100, [0] * 100, inner) == 0
    # Nothing but even rows is a background, unless the innermost ones are dark.
    assert width([90] * 100, [90] * 100) == 0 and width([90] * 100, [0] * 100) == 1


def test_what_hides_a_dark_corner() -> None:
    """Of a bright luminance of 200: less than 80 behind a line of at least 40 and twice that."""

    def is_hidden(behind: float, line: float, rows: int = 3, columns: int = 4) -> bool:
        corner = np.full((300, 200), 200.0)
        corner[: rows + 10, : columns + 10] = behind
        corner[: rows + (rows > 0)] = corner[:, : columns + (columns > 0)] = 199.0  # mixed
        corner[:rows] = corner[:, :columns] = line
        return _is_hidden(corner, rows, columns, 200.0)

    for rows, columns in ((3, 4), (3, 0), (0, 4), (1, 1)):
        assert is_hidden(79, 158, rows, columns) and not is_hidden(79, 157, rows, columns)
        assert not is_hidden(80, 200, rows, columns)
        assert is_hidden(10, 40, rows, columns) and not is_hidden(10, 39, rows, columns)
    # Two lines: the lighter counts, whatever crosses it; behind them the median of one percent.
    corner = np.full((300, 200), 20.0)
    corner[0], corner[1] = 30, 45
    corner[1, 0] = corner[1, 2] = 4
    assert not _is_hidden(corner, 2, 0, 200.0) and not _is_hidden(corner.T, 0, 2, 200.0)
    corner[1, 2] = 45
    assert _is_hidden(corner, 2, 0, 200.0) and _is_hidden(corner.T, 0, 2, 200.0)
    corner[3:6, 0:3] = [[20, 90, 20], [90, 20, 90], [20, 90, 20]]
    assert _is_hidden(corner, 2, 0, 200.0)
    corner[3, 0] = 90
    assert not _is_hidden(corner, 2, 0, 200.0)
    assert _is_hidden(corner[:150], 2, 0, 200.0) == (np.median(corner[3:5, :2]) == 20)


def test_lines_belong_to_what_they_surround() -> None:
    """Also where skin reaches them; judged a pixel and a hundredth of the side behind them."""
    image = scene(350, 4)
    found = find_vignette(image)
    edges = PilImage.fromarray(found.astype(np.uint8) * 255)
    edges = np.asarray(edges.resize((90, 90), PilImage.Resampling.BOX)) > 127
    np.testing.assert_array_equal(resize_vignette(image, shrink(image, 90)), edges)
    np.testing.assert_array_equal(found[:4], np.repeat(found[4:5], 4, 0))
    np.testing.assert_array_equal(found[:, -4:], np.repeat(found[:, -5:-4], 4, 1))
    assert found[0, 0] and not found[0, 150]
    for gap, is_found in ((3, True), (4, False)):
        mixed = image.copy()
        mixed[4:100, 4 : 4 + gap] = mixed[4 : 4 + gap, 4:100] = 110
        mixed[4:100:2, 4 : 4 + gap] = mixed[4 : 4 + gap, 4:100:2] = 190  # uneven: no line
        assert find_vignette(mixed)[12, 12] == is_found and find_vignette(mixed)[-12, 12], gap
