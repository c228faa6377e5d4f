"""The background is fitted as if without the target, and dark parts stand out from it."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.masks.background import fit_background, propose_dark_parts


def draw(height: int = 96, width: int = 128, depth: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Draw skin under uneven light with a disc that is darker by the factor ``depth``."""
    y, x = np.mgrid[:height, :width]
    light = 1 - 0.4 * ((x / width - 0.2) ** 2 + (y / height - 0.3) ** 2)
    disc = np.hypot(y - 50, x - 60) < 18
    shade = np.where(disc, depth, 1.0)
    image = light[..., None] * shade[..., None] * np.array([220, 170, 150])
    return np.rint(image).astype(np.uint8), disc


def compute_dsc(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * (one & two).sum() / (one.sum() + two.sum())


def test_residual_is_the_logarithm_of_the_darkness() -> None:
    image, disc = draw(depth=0.5)
    used = np.ones(disc.shape, bool)
    found = fit_background(image / 255, used, 0.5)
    inner = np.hypot(*np.mgrid[:96, :128] - np.array([50, 60])[:, None, None]) < 12
    # 0.03 is added before the logarithm, so the difference is a little below ln 2.
    assert abs(found.residual[inner].mean() - np.log(2)) < 0.08
    assert np.abs(np.median(found.residual[~disc])) < 0.02
    assert found.spread < 0.05


def test_a_quadratic_background_leaves_no_residual() -> None:
    y, x = np.mgrid[:40, :60] / 60.0
    logs = -1 + 0.3 * x - 0.2 * y + 0.1 * x * y - 0.4 * x**2
    pixels = np.repeat((np.exp(logs) - 0.03)[..., None], 3, 2)
    found = fit_background(pixels, np.ones((40, 60), bool), 0.0)
    assert np.abs(found.residual).max() < 1e-6


def test_pixels_outside_the_field_do_not_count() -> None:
    image, disc = draw()
    used = np.ones(disc.shape, bool)
    used[:, :20] = False
    black = image.copy()
    black[:, :20] = 0
    one = fit_background(image / 255, used, 0.0)
    two = fit_background(black / 255, used, 0.0)
    assert np.allclose(one.residual[used], two.residual[used], atol=1e-9)
    masks, _ = propose_dark_parts(black, used)
    # Holes are filled, and a hole cannot reach the border of the image.
    assert masks and not any(mask[:, :18].any() for mask in masks)


@pytest.mark.parametrize("depth", [0.5, 0.8, 0.93])
def test_a_faint_target_in_uneven_light_is_proposed(depth: float) -> None:
    image, disc = draw(depth=depth)
    masks, _ = propose_dark_parts(image, np.ones(disc.shape, bool))
    assert max(compute_dsc(mask, disc) for mask in masks) > 0.93


def test_both_of_two_targets_are_proposed_together_and_alone() -> None:
    image, disc = draw(96, 160)
    second = np.hypot(*np.mgrid[:96, :160] - np.array([50, 110])[:, None, None]) < 16
    image[second] = image[second] // 2
    masks, _ = propose_dark_parts(image, np.ones(disc.shape, bool))
    for wanted in (disc, second, disc | second):
        assert max(compute_dsc(mask, wanted) for mask in masks) > 0.9


def test_an_even_image_has_no_proposals() -> None:
    masks, background = propose_dark_parts(
        np.full((50, 50, 3), 90, np.uint8), np.ones((50, 50), bool)
    )
    assert masks == [] and abs(background.spread - 0.01) < 1e-6


def test_redness_is_used_only_in_colour() -> None:
    image = np.full((64, 64, 3), (150, 150, 150), np.uint8)
    spot = np.hypot(*np.mgrid[:64, :64] - 32) < 10
    red = image.copy()
    red[spot] = (190, 120, 130)  # nearly the same mean of the logarithms
    masks, _ = propose_dark_parts(red, np.ones((64, 64), bool))
    assert max(compute_dsc(mask, spot) for mask in masks) > 0.9
