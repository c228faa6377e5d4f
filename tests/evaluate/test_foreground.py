"""What in a mask's file is foreground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.evaluate.foreground import find_foreground, find_picture_foreground
from s3net_jax.io import InputError

HALF = np.zeros((12, 16), bool)
HALF[:, 5:11] = True
LEFT = HALF & (np.arange(16) < 8)


def draw_grey(inside: int, outside: int = 0, kind: type = np.uint8) -> np.ndarray:
    return np.where(HALF, inside, outside).astype(kind)


def draw_colors(*channels: Any) -> PilImage.Image:
    return PilImage.fromarray(np.stack(np.broadcast_arrays(*channels), -1).astype(np.uint8))


def draw_palette(indices: np.ndarray, *entries: tuple[int, int, int]) -> PilImage.Image:
    picture = PilImage.fromarray(indices.astype(np.uint8))
    picture.putpalette(np.array(entries, np.uint8).tobytes())
    return picture


LABELS = np.where(LEFT, 1, 2) * HALF
WHITE, CLEAR = np.uint8(255), np.uint8(0)
PICTURES = {
    "black and white": PilImage.fromarray(draw_grey(255)),
    "one bit": PilImage.fromarray(HALF),
    "0 and 1": PilImage.fromarray(draw_grey(1)),
    "labels": PilImage.fromarray(LABELS.astype(np.uint8)),
    "16 bits": PilImage.fromarray(draw_grey(65535, 0, np.uint16)),
    "labels in 16 bits": PilImage.fromarray((LABELS * 7).astype(np.uint16)),
    "grey edges": PilImage.fromarray(np.where(HALF, 255 - 100 * LEFT, 90).astype(np.uint8)),
    "red": draw_colors(draw_grey(255), CLEAR, CLEAR),
    "blue and yellow": draw_colors(
        draw_grey(255) * ~LEFT, draw_grey(255) * ~LEFT, draw_grey(255) * LEFT
    ),
    "opaque everywhere": draw_colors(draw_grey(255), draw_grey(255), draw_grey(255), WHITE),
    "clear everywhere": draw_colors(draw_grey(255), draw_grey(255), draw_grey(255), CLEAR),
    "opacity alone, white": draw_colors(WHITE, WHITE, WHITE, draw_grey(255)),
    "opacity alone, black": draw_colors(CLEAR, CLEAR, CLEAR, draw_grey(255)),
    "black on clear white": draw_colors(
        draw_grey(0, 255), draw_grey(0, 255), draw_grey(0, 255), draw_grey(255)
    ),
    "clear corner": draw_colors(
        draw_grey(255),
        draw_grey(255),
        draw_grey(255),
        np.where(HALF | LEFT, 255, draw_grey(9, 255)),
    ),
    "labels of a palette": draw_palette(LABELS, (0, 0, 0), (64, 0, 0), (255, 255, 0)),
    "no black in the palette": draw_palette(LABELS, (68, 1, 84), (33, 144, 140), (253, 231, 37)),
    "grey palette the other way round": draw_palette(1 - HALF, (255, 255, 255), (0, 0, 0)),
}


@pytest.mark.parametrize("picture", PICTURES.values(), ids=PICTURES.keys())
def test_pictures(picture: PilImage.Image) -> None:
    np.testing.assert_array_equal(find_picture_foreground(picture, "m"), HALF)


def test_jpeg(tmp_path: Path) -> None:
    PilImage.fromarray(draw_grey(255)).save(tmp_path / "m.jpg", quality=30)
    with PilImage.open(tmp_path / "m.jpg") as picture:
        assert len(np.unique(np.asarray(picture))) > 2
        np.testing.assert_array_equal(find_picture_foreground(picture, "m"), HALF)


def test_numbers() -> None:
    for values in (
        LABELS * 200,
        LABELS * 1.0,
        HALF * 0.8 + LEFT * 0.1 + 0.2,
        LABELS - 1000 * ~HALF,
    ):
        np.testing.assert_array_equal(find_foreground(values, "m"), HALF)
    assert find_foreground(np.ones((3, 3), np.uint8), "m").all()
    with pytest.raises(InputError, match="m has labels from 1 to 3 but no background"):
        find_foreground(LABELS + 1, "m")


def test_the_upper_half_of_eight_and_of_sixteen_bits() -> None:
    for kind, half in ((np.uint8, 127), (np.uint16, 32767)):
        values = np.array([[0, half, half + 1, 2 * half + 1]], kind)
        np.testing.assert_array_equal(find_foreground(values, "m"), [[0, 0, 1, 1]])
        # Without the upper half they are labels; so are all whole numbers of other kinds.
        np.testing.assert_array_equal(find_foreground(values[:, :2], "m"), [[0, 1]])
    large = np.array([[0, 3, 2**32 - 1]], np.uint32)
    np.testing.assert_array_equal(find_foreground(large, "m"), [[0, 1, 1]])


def test_fractions_above_half_of_the_largest() -> None:
    values = np.array([[0.1, 0.35, 0.7, 0.36]])
    np.testing.assert_array_equal(find_foreground(values, "m"), [[0, 0, 1, 1]])
    assert find_foreground(np.zeros((0, 3)), "m").shape == (0, 3)


def test_pictures_of_more_bits() -> None:
    for mode, values in (("I", LABELS * 70_000), ("F", HALF * 0.9 + 0.05 * LEFT)):
        picture = PilImage.fromarray(values.astype(np.int32 if mode == "I" else np.float32))
        assert picture.mode == mode
        np.testing.assert_array_equal(find_picture_foreground(picture, "m"), HALF)


def test_opacity_is_a_matter_of_its_upper_half() -> None:
    """What is shown in several colours is read as a picture on a black ground, and a palette of
    greys by its levels, not by its entries."""
    edge = np.where(HALF, 255, 127)
    np.testing.assert_array_equal(
        find_picture_foreground(
            draw_colors(draw_grey(9), draw_grey(9), draw_grey(9), np.where(HALF, 128, 127)), "m"
        ),
        HALF,
    )
    shown = draw_colors(
        draw_grey(200) * LEFT + draw_grey(220) * ~LEFT, CLEAR, draw_grey(0, 255), edge
    )
    np.testing.assert_array_equal(find_picture_foreground(shown, "m"), HALF)
    other = draw_colors(np.where(LEFT, 10, 20), CLEAR, CLEAR, edge)
    np.testing.assert_array_equal(find_picture_foreground(other, "m"), HALF)
    levels = draw_palette(LABELS + 1, (9, 9, 9), (0, 0, 0), (255, 255, 255), (200, 200, 200))
    np.testing.assert_array_equal(find_picture_foreground(levels, "m"), HALF)
    right = np.where(np.arange(16) == 15, 0, 255)  # clear at one side: a picture all the same
    clear = draw_colors(
        draw_grey(255), draw_grey(255), draw_grey(255), np.broadcast_to(right, HALF.shape)
    )
    np.testing.assert_array_equal(find_picture_foreground(clear, "m"), HALF)
    edges = draw_palette(1 + HALF, (0, 0, 0), (90, 90, 90), (255, 255, 255))
    np.testing.assert_array_equal(find_picture_foreground(edges, "m"), HALF)


def test_palettes_of_colours() -> None:
    """Black is the background at any palette index; a colour may use a single channel."""
    last = draw_palette(2 - HALF.astype(int), (1, 2, 3), (0, 0, 90), (0, 0, 0))
    np.testing.assert_array_equal(find_picture_foreground(last, "m"), HALF)
    first = draw_palette(LABELS, (0, 0, 90), (0, 70, 0), (60, 0, 0))
    np.testing.assert_array_equal(find_picture_foreground(first, "m"), HALF)
