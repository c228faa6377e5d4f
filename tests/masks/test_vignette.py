"""A frame line does not hide the black surround behind it, at any size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.masks.vignette import resized_vignette, vignette

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


def smaller(image: np.ndarray, side: int = 128) -> np.ndarray:
    return np.asarray(PilImage.fromarray(image).resize((side, side), PilImage.Resampling.BOX))


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("value", [255, 130, 60])
def test_a_frame_line_hides_nothing(side: int, value: int) -> None:
    plain = scene(side)
    outside, small = vignette(plain), vignette(smaller(plain))
    assert outside[0, 0] and not outside[side // 2, side // 2] and not outside[0, side // 2]
    for line in (1, 2, 3, 4, 5, 6) if side < 400 else (2, 6):
        image = scene(side, line, value)
        # Both edges of the surround can move by a pixel, where lines are mixed with it.
        assert dice(vignette(image), outside) > 0.9, line
        assert dice(resized_vignette(image, smaller(image)), small) > 0.9, line
    file = io.BytesIO()
    PilImage.fromarray(scene(side, 2, value)).save(file, "JPEG", quality=75)
    assert dice(vignette(np.asarray(PilImage.open(file))), outside) > 0.9


@pytest.mark.parametrize("value", [255, 60])
def test_the_answer_is_the_same_at_each_size(value: int) -> None:
    found = [
        smaller(vignette(scene(side, 3, value)).astype(np.uint8) * 255) > 127 for side in SIZES
    ]
    for other in found[1:]:
        assert dice(found[0], other) > 0.9


def test_a_line_cropped_at_one_side(side: int = 300) -> None:
    image = scene(side, 3)[:-3]
    assert dice(vignette(image), vignette(scene(side)[:-3])) > 0.9


def test_two_lines_around_one_another(side: int = 300) -> None:
    image = scene(side, 3)
    image[0] = image[-1] = image[:, 0] = image[:, -1] = 0
    assert dice(vignette(image), vignette(scene(side))) > 0.9


def test_a_line_in_front_of_skin_is_no_surround(side: int = 300) -> None:
    image = np.full((side, side, 3), (205, 160, 140), np.uint8)
    image[120:180, 120:180] = (105, 62, 48)
    for value in (255, 100):
        framed = image.copy()
        framed[:2] = framed[-2:] = framed[:, :2] = framed[:, -2:] = value
        assert not vignette(framed).any()


def test_a_broad_white_border_is_a_background(side: int = 300) -> None:
    image = np.full((side, side, 3), 255, np.uint8)
    image[40:-40, 40:-40] = 5
    image[60:-60, 60:-60] = 160
    assert not vignette(image).any()
