"""Marks inside and outside an object: against a dense solution, and what they do to masks."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax.errors import InputError
from s3net_jax.masks import draw_marks, marks, solve_marks

SHAPE = (60, 80)


def make_scene() -> tuple[np.ndarray, np.ndarray]:
    """A picture with two dark discs of different colours, and the left disc."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    left, right = ((y - 30) ** 2 + (x - middle) ** 2 < 144 for middle in (22, 58))
    image = np.full((*SHAPE, 3), (210, 170, 160), np.uint8)
    image[left], image[right] = (90, 40, 30), (60, 70, 120)
    return image + random.integers(0, 9, image.shape).astype(np.uint8), left


def solve_densely(lab, clusters, prior, trust, seeds) -> np.ndarray:
    """The equation of `solve_marks`, pixel by pixel."""
    height, width = seeds.shape
    places = [(y, x) for y in range(height) for x in range(width)]
    number = {place: n for n, place in enumerate(places)}
    matrix, wanted = np.zeros((len(places),) * 2), np.zeros(len(places))
    for (y, x), n in number.items():
        if seeds[y, x] >= 0:
            matrix[n, n], wanted[n] = 1, seeds[y, x]
            continue
        matrix[n, n], wanted[n] = trust[y, x], trust[y, x] * prior[y, x]
        for other in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if other in number:
                apart = ((lab[y, x] - lab[other]) ** 2).sum()
                weight = np.exp(-apart / (2 * marks._EDGE**2)) + 1e-3
                weight *= 1 if clusters[y, x] == clusters[other] else marks._BETWEEN
                matrix[n, n] += weight
                matrix[n, number[other]] -= weight
    return np.linalg.solve(matrix, wanted).reshape(seeds.shape)


def test_the_walker_solves_its_equation() -> None:
    random = np.random.default_rng(1)
    lab = random.normal(0, 5, (9, 7, 3))
    clusters = random.integers(0, 3, (9, 7))
    prior = random.random((9, 7))
    trust = marks._PRIOR * (1 + random.random((9, 7)))
    seeds = np.full((9, 7), -1, np.int8)
    seeds[2, 3], seeds[7, 1], seeds[7, 2] = 1, 0, 0
    found = marks._walk(lab, clusters, prior, trust, seeds)
    np.testing.assert_allclose(found, solve_densely(lab, clusters, prior, trust, seeds), atol=1e-9)
    assert found.min() >= 0 and found.max() <= 1


def test_a_click_moves_the_mask_to_the_object() -> None:
    image, left = make_scene()
    inside, outside = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    inside[30, 22] = outside[30, 58] = True
    wrong = np.zeros(SHAPE, bool)
    wrong[20:40, 48:68] = True
    found = solve_marks(image, np.zeros(SHAPE, int), wrong, inside, outside)
    assert 2 * (found & left).sum() / (found.sum() + left.sum()) > 0.9


@pytest.mark.parametrize("side", ["inside", "outside"])
def test_a_click_near_the_outline_leaves_the_rest(side: str) -> None:
    """A mask without a bump of the object, or with one that is not part of it."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask = (y - 30) ** 2 + (x - 40) ** 2 < 15**2
    bump = (y - 30) ** 2 + (x - 55) ** 2 < 5**2
    truth = mask | bump if side == "inside" else mask & ~bump
    image = np.where(truth[..., None], (90, 40, 30), (210, 170, 160)).astype(np.uint8)
    image += np.random.default_rng(0).integers(0, 9, image.shape).astype(np.uint8)
    given = {"inside": np.zeros(SHAPE, bool), "outside": np.zeros(SHAPE, bool)}
    given[side][30, 57 if side == "inside" else 53] = True
    found = solve_marks(image, np.zeros(SHAPE, np.int32), mask, given["inside"], given["outside"])
    np.testing.assert_array_equal(found, truth)


def test_far_from_marks_the_mask_stays() -> None:
    image, left = make_scene()
    inside, outside = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    outside[5, 75] = True
    found = solve_marks(image, left.astype(int), left, inside, outside)
    assert np.mean(found != left) < 0.02


@pytest.mark.parametrize("shape", [(8, 8), (8, 700), (600, 9), (300, 400)])
def test_marks_are_always_respected(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    image = random.integers(0, 256, (*shape, 3)).astype(np.uint8)
    inside = random.random(shape) < 0.01
    outside = (random.random(shape) < 0.01) & ~inside
    inside[0, 0] = outside[-1, -1] = True
    inside[-1, -1] = outside[0, 0] = False
    mask = random.random(shape) < 0.5
    found = solve_marks(image, random.integers(0, 5, shape), mask, inside, outside)
    assert found.shape == shape and found.dtype == bool
    assert found[inside].all() and not found[outside].any()


def test_strokes_of_any_length_are_accepted() -> None:
    image, left = make_scene()
    found = solve_marks(image, np.zeros(SHAPE, int), ~left, left, ~left)
    assert np.array_equal(found, left)


def test_wrong_marks_are_refused() -> None:
    image, left = make_scene()
    none = np.zeros(SHAPE, bool)
    with pytest.raises(InputError, match="There are no marks for x"):
        solve_marks(image, none.astype(int), left, none, none, "x")
    with pytest.raises(InputError, match="pixel 12,24 of x is marked both"):
        both = none.copy()
        both[24, 12] = True
        solve_marks(image, none.astype(int), left, both, both, "x")


def test_marks_are_drawn_from_points_and_masks() -> None:
    drawn = draw_marks([(3, 1), (0.9, 2.5)], (3, 4), "x")
    assert np.argwhere(drawn).tolist() == [[1, 3], [2, 0]]
    assert draw_marks(drawn, (3, 4), "x") is drawn
    assert not draw_marks([], (3, 4), "x").any()
    with pytest.raises(InputError, match="x has 4×3 pixels; the mark at 4,0 is outside it"):
        draw_marks([(4, 0)], (3, 4), "x")
    with pytest.raises(InputError, match="The marks have shape"):
        draw_marks(drawn, (3, 5), "x")
    for wrong in (["a"], 3, [(1, 2, 3)], "ab"):
        with pytest.raises(TypeError, match="Marks must be points"):
            draw_marks(wrong, (3, 4), "x")
