"""What surrounds the field of view is found, and dark targets that reach the border are not."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.masks.surround import find_surround, keep_outer_rays, resize_surround
from tests.masks.test_vignette import SIZES, dice, scene, shrink


def draw_ultrasound(side: int = 200) -> np.ndarray:
    """Draw grey tissue with a dark cyst that a shadow connects with the lower left corner."""
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    image = np.full((side, side), 120, np.uint8)
    image[np.hypot(y - 0.4, x - 0.5) < 0.15] = 12
    image[(y > 0.4) & (np.abs(x - 0.5) < 0.04)] = 20
    image[(y > 0.85) & (x < 0.54)] = 20
    return np.repeat(image[..., None], 3, 2)


@pytest.mark.parametrize("side", SIZES)
@pytest.mark.parametrize("value", [255, 60])
def test_frame_lines_change_nothing_at_any_size(side: int, value: int) -> None:
    plain = scene(side)
    outside = find_surround(plain)
    assert outside[0, 0] and not outside[side // 2, side // 2] and not outside[0, side // 2]
    image = scene(side, 2, value)
    assert dice(find_surround(image), outside) > 0.9
    small = resize_surround(plain, shrink(plain))
    assert dice(resize_surround(image, shrink(image)), small) > 0.9
    reference = resize_surround(scene(256), shrink(scene(256)))
    assert dice(small, reference) > 0.9


def test_a_dark_target_that_reaches_a_corner_is_no_surround() -> None:
    image = draw_ultrasound()
    outside = find_surround(image)
    assert outside[-1, 0], "the corner is dark"
    cyst = (
        np.hypot(*(np.mgrid[:200, :200] + 0.5) / 200 - np.array([0.4, 0.5])[:, None, None]) < 0.15
    )
    assert (outside & cyst).sum() < 0.1 * cyst.sum()


def test_the_air_around_a_body_is_surround_even_behind_an_arm() -> None:
    y, x = (np.mgrid[:200, :200] + 0.5) / 200
    body = ((y - 0.5) / 0.25) ** 2 + ((x - 0.5) / 0.32) ** 2 < 1
    arm = np.hypot(y - 0.5, x - 0.93) < 0.05
    image = np.zeros((200, 200, 3), np.uint8)
    image[body | arm] = 150
    outside = find_surround(image)
    assert outside[100, 170], "the gap between body and arm"
    assert not outside[100, 100]


def test_an_image_without_dark_parts_has_none() -> None:
    image = np.full((60, 90, 3), 128, np.uint8)
    assert not find_surround(image).any()


def test_a_black_image_has_none() -> None:
    assert not find_surround(np.zeros((60, 90, 3), np.uint8)).any()


def test_only_pixels_that_nothing_hides_are_kept() -> None:
    y, x = np.mgrid[:61, :91]
    away = np.maximum(np.abs(y - 30) / 30, np.abs(x - 45) / 45)  # 1 at the border
    outer = away > 0.7
    assert dice(keep_outer_rays(outer), outer) > 0.98
    hidden = (away > 0.2) & (away < 0.5)
    assert not keep_outer_rays(hidden).any()
    both = keep_outer_rays(outer | hidden)
    assert dice(both, outer) > 0.98 and not (both & hidden).any()
    half = keep_outer_rays((hidden | (away >= 0.5)) & (x > 45))
    assert half[30, 80] and half[30, 60] and not half[:, :45].any()


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (2, 2), (30, 57)])
def test_rays_end_at_the_border_of_any_shape(shape: tuple[int, int]) -> None:
    assert keep_outer_rays(np.ones(shape, bool)).all()
    assert not keep_outer_rays(np.zeros(shape, bool)).any()
