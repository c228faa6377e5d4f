"""Test that outlines enclose exactly the pixels of a mask."""

# pyright: reportIndexIssue=false
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import polygon2mask

from s3net_jax.measure import Polygon, trace_polygons
from s3net_jax.measure.polygons import _compute_area

masks = st.tuples(st.integers(1, 14), st.integers(1, 14), st.integers(0, 10**6)).map(
    lambda it: np.random.default_rng(it[2]).random(it[:2]) < 0.55
)


def fill(ring: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill a ring: pixels whose centre is inside."""
    return polygon2mask(shape, ring[:, ::-1] - 0.5)


def draw(polygons: list[Polygon], shape: tuple[int, int]) -> np.ndarray:
    result = np.zeros(shape, bool)
    for polygon in polygons:
        result |= fill(polygon.outline, shape)
    for polygon in polygons:
        for hole in polygon.holes:
            result &= ~fill(hole, shape)
        inside = fill(polygon.outline, shape)
        for hole in polygon.holes:
            inside &= ~fill(hole, shape)
        result |= inside
    return result


@given(masks)
def test_outlines_give_the_mask_back(mask: np.ndarray) -> None:
    polygons = trace_polygons(mask)
    assert np.array_equal(draw(polygons, mask.shape), mask)
    assert len(polygons) == ndimage.label(mask)[1]
    areas = []
    for polygon in polygons:
        rings = [polygon.outline, *polygon.holes]
        signed = [_compute_area(ring) for ring in rings]
        assert signed[0] > 0 and all(area < 0 for area in signed[1:])
        areas.append(sum(signed))
        for ring in rings:
            assert len({tuple(point) for point in ring.tolist()}) == len(ring), "a point twice"
            sides = np.abs(np.roll(ring, -1, 0) - ring)
            assert (np.count_nonzero(sides, axis=1) == 1).all(), "along rows and columns"
    assert sum(areas) == np.count_nonzero(mask)
    assert areas == sorted(areas, reverse=True)


@given(masks)
def test_polygons_are_valid_for_shapely(mask: np.ndarray) -> None:
    shapely = pytest.importorskip("shapely")
    for polygon in trace_polygons(mask):
        shape = shapely.Polygon(polygon.outline, polygon.holes)
        assert shape.is_valid, shapely.is_valid_reason(shape)


def test_rectangle_and_hole() -> None:
    mask = np.zeros((9, 12), bool)
    mask[2:8, 3:10] = True
    mask[4, 5:7] = False
    ((outline, (hole,)),) = trace_polygons(mask)
    assert {*map(tuple, outline.tolist())} == {(3, 2), (10, 2), (10, 8), (3, 8)}
    assert {*map(tuple, hole.tolist())} == {(5, 4), (7, 4), (7, 5), (5, 5)}
    assert trace_polygons(np.zeros((3, 4), bool)) == []
