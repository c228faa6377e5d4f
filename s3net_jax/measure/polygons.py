"""Trace the outline of a region along the sides of its pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from s3net_jax.masks import label_instances

__all__ = ["Polygon", "trace_polygons"]


class Polygon(NamedTuple):
    """One connected region.

    Attributes:
      outline: corners (x, y) of its outer outline, (N, 2) int64, counter-clockwise where y points
        up; the first corner is not repeated.
      holes: corners of the outline of each hole, in the opposite direction.
    """

    outline: np.ndarray
    holes: list[np.ndarray]


def trace_polygons(mask: np.ndarray) -> list[Polygon]:
    """Trace the connected parts of a mask exactly.

    The corners are corners of pixels: pixel (row i, column j) is the square from x = j to j + 1 and
    from y = i to i + 1. The area of a polygon, without its holes, is its number of pixels. Parts
    that touch only at a corner are separate polygons. A ring never passes the same point twice, so
    the polygons are valid for geometry libraries; a hole may touch the outline at a point.

    Args:
      mask: (H, W) bool.

    Returns:
      One polygon for each part, by decreasing number of pixels.
    """
    from scipy import ndimage

    parts = label_instances(mask)
    return [
        _trace_part(parts[place] == number + 1, place[1].start, place[0].start)
        for number, place in enumerate(ndimage.find_objects(parts))
        if place is not None
    ]


def _trace_part(part: np.ndarray, left: int, top: int) -> Polygon:
    """Trace one connected part, whose upper left pixel is at column ``left`` and row ``top``."""
    corners, along_row, along_column = _link_corners(np.pad(part, 1))
    rings: list[np.ndarray] = []
    is_left = np.ones(len(corners), bool)
    for start in range(len(corners)):
        ring: list[int] = []
        here = start
        while is_left[here]:  # alternately along a row and along a column
            there = int(along_row[here])
            ring += [here, there]
            is_left[[here, there]] = False
            here = int(along_column[there])
        if ring:
            rings += _split_ring(corners[ring])
    areas = [_compute_area(ring) for ring in rings]
    outer = int(np.argmax(np.abs(areas)))
    shift = np.array([left, top])
    turned = [
        ring[::-1] if (area > 0) != (number == outer) else ring
        for number, (ring, area) in enumerate(zip(rings, areas, strict=True))
    ]
    holes = [ring + shift for number, ring in enumerate(turned) if number != outer]
    return Polygon(turned[outer] + shift, holes)


def _link_corners(padded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the corners of an outline, and for each its neighbours along the outline.

    Along every line of the pixel grid, sides of the outline begin and end at alternate corners, so
    the corners of a line are joined in pairs. Where two pixels touch diagonally, two corners share
    a point; each belongs to one of the pixels.

    Args:
      padded: the region with a margin of one pixel, (H + 2, W + 2) bool.

    Returns:
      ``(corners, along_row, along_column)``: (N, 2) int64 points (x, y); (N,) indices of the corner
      at the other end of the horizontal side, and of the vertical side.
    """
    upper_left, upper_right = padded[:-1, :-1], padded[:-1, 1:]
    lower_left, lower_right = padded[1:, :-1], padded[1:, 1:]
    count = upper_left.astype(np.int8) + upper_right + lower_left + lower_right
    falling = upper_left & lower_right & (count == 2)
    rising = upper_right & lower_left & (count == 2)
    y, x = np.nonzero((count % 2 == 1) | falling | rising)
    is_falling, is_rising = falling[y, x], rising[y, x]
    copies = 1 + (is_falling | is_rising)
    points = np.repeat(np.stack([x, y], -1), copies, 0)
    # Of two corners at one point, the first has the side to the left, the second to the right.
    second = np.zeros(len(points), bool)
    second[np.cumsum(copies)[copies == 2] - 1] = True
    # The corner of the pixel above has the side upwards: the first if that pixel is on the left.
    lower = second ^ np.repeat(is_rising, copies)
    rows = np.lexsort((second, points[:, 0], points[:, 1]))
    columns = np.lexsort((lower, points[:, 1], points[:, 0]))
    return points, _pair(rows), _pair(columns)


def _pair(order: np.ndarray) -> np.ndarray:
    """Return the partner of each corner, where neighbours in ``order`` are joined two by two."""
    partner = np.empty_like(order)
    partner[order[::2]], partner[order[1::2]] = order[1::2], order[::2]
    return partner


def _split_ring(ring: np.ndarray) -> list[np.ndarray]:
    """Split a ring at the points that it passes twice."""
    found: list[np.ndarray] = []
    path: list[tuple[int, int]] = []
    place: dict[tuple[int, int], int] = {}
    for x, y in ring.tolist():
        if (x, y) in place:
            start = place[x, y]
            found.append(np.array(path[start:]))
            for point in path[start + 1 :]:
                del place[point]
            del path[start + 1 :]
        else:
            place[x, y] = len(path)
            path.append((x, y))
    return [*found, np.array(path)]


def _compute_area(ring: np.ndarray) -> float:
    """Return the signed area of a ring by the shoelace formula."""
    following = np.roll(ring, -1, 0)
    return float((ring[:, 0] * following[:, 1] - following[:, 0] * ring[:, 1]).sum()) / 2
