"""Correct a mask with marks inside and outside the object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage

from s3net_jax.errors import InputError

__all__ = ["Marks", "draw_marks", "solve_marks"]

Marks = Sequence[tuple[float, float]] | np.ndarray
"""Points (x, y), or a mask of strokes, (H, W) bool."""

# The constants were chosen by the mean DSC after one, three and five simulated clicks on 14
# development images (`benchmarks.marks` names them), before ``_SHARE`` and ``_HOLD`` were added;
# with these they were not varied again. ``_HOLD`` was chosen on masks of `best` on the same images,
# and on empty masks.

_LONG_SIDE = 128
"""Longest side in pixels of the grid on which the marks are solved; bounds the time. Not varied."""

_RADIUS = 0.05
"""Radius of the disc around a mark that is fixed with it, as a fraction of the long side. Single
pixels hardly hold a random walker. 0.03 is worse after one click, 0.08 after three and five."""

_EDGE = 4.0
"""Standard deviation of the edge weights in units of CIELAB. Not varied."""

_BETWEEN = 0.3
"""Factor on the weight between different clusters. Without the clusters, with 1 here and for
``_OTHER``, masks are slightly worse after every number of clicks."""

_LIKE, _NEAR, _OTHER = 8.0, 0.2, 0.5
"""Largest reach of a mark: standard deviations of the colour in units of CIELAB (5 and 14 are no
better on the whole) and of the distance as a fraction of the long side (not varied), and factor for
pixels of other clusters."""

_SHARE = 1.0
"""Factor on the distance between a mark and the outline of the present mask, which also limits the
reach: a mark near the outline corrects the outline. Without this limit, marks made good masks of
lesions worse. Not varied."""

_PRESENT = 0.2
"""Weight of the present mask against that of a mark on the same pixel, 1. 0.05 and 0.5 are no
better on the whole."""

_PRIOR = 3e-3
"""Weight γ of the prior at the marks. 0.001 and 0.01 are slightly worse after five clicks."""

_HOLD, _CHANGE = 0.03, 5.0
"""Weight of the prior far from all marks, and reach of a mark's changes in units of its distance to
the outline of the present mask. Without this weight, a mark near the outline also changes the rest:
ten masks of development images with a DSC above 85 (mean 93.1) fall to 77.3 after one click; with
it they keep 93.1 and reach 94.7 after five. 0.003, 0.01, 0.1 and 0.3, and reaches of 1 to 3, are no
better on the mean of all masks after one, three and five clicks."""

_BLUR = 1.5
"""Standard deviation in pixels of the grid of the blur before colours are compared with marks. Not
varied."""


def draw_marks(marks: Any, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Draw marks as a mask.

    Args:
      marks: points (x, y), counted from the left and from the top, of which the whole part is the
        pixel; or a mask of strokes, (H, W) bool.
      shape: size (H, W) of the image.
      name: name of the image in error messages.

    Returns:
      (H, W) bool.

    Raises:
      InputError: a point is outside the image, or a mask has another size.
      TypeError: ``marks`` is neither a list of points nor a mask.
    """
    height, width = shape
    if isinstance(marks, np.ndarray) and marks.dtype == bool:
        if marks.shape != shape:
            raise InputError(
                f"The marks have shape {marks.shape}, but {name} has {(height, width)}: draw them "
                "on the image at its full size."
            )
        return marks
    drawn = np.zeros(shape, bool)
    try:
        points = np.asarray(marks, float).reshape(-1, 2) if len(marks) else np.zeros((0, 2))
    except (TypeError, ValueError):
        raise TypeError(
            f"Marks must be points, such as [(40, 25)], or a bool mask; got {marks!r}."
        ) from None
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(
                f"{name} has {width}×{height} pixels; the mark at {x:g},{y:g} is outside it."
            )
        drawn[int(y), int(x)] = True
    return drawn


def solve_marks(
    image: np.ndarray,
    clusters: np.ndarray,
    mask: np.ndarray,
    inside: np.ndarray,
    outside: np.ndarray,
    name: str = "The image",
) -> np.ndarray:
    """Correct a mask so that it agrees with the marks and follows the edges of the image.

    This is the random walker with a prior (Grady, *Multilabel random walker image segmentation
    using prior models*, CVPR 2005). The probability x of every pixel to be inside minimises

      Σ_ij w_ij (x_i − x_j)² + Σ_i γ_i (x_i − p_i)²,   x = 1 inside and 0 outside at the marks,

    where w_ij = exp(−|c_i − c_j|² / 2σ²) for neighbours of colours c, less between clusters. The
    prior is p = (0.2 m + a) / (0.2 + a + b), where m is the present mask, and a and b are the
    similarity in (0, 1], in colour and place, to the most similar mark inside and outside. The
    weight γ_i is larger far from all marks, so that the mask changes only around them.

    Args:
      image: (H, W, 3) uint8 image.
      clusters: (H, W) integer label map.
      mask: (H, W) bool, the present mask.
      inside, outside: (H, W) bool marks.
      name: name of the image in error messages.

    Returns:
      (H, W) bool mask, which contains all marks inside and none outside.

    Raises:
      InputError: there are no marks, or a pixel has both marks.
    """
    from skimage.color import rgb2lab  # slow import, rarely needed

    both = np.argwhere(inside & outside)
    if both.size:
        y, x = both[0]
        raise InputError(f"The pixel {x},{y} of {name} is marked both inside and outside.")
    if not (inside.any() or outside.any()):
        raise InputError(f"There are no marks for {name}: mark pixels inside or outside.")
    shape = mask.shape
    scale = min(1.0, _LONG_SIDE / max(shape))
    size = max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))
    lab = rgb2lab(np.asarray(PilImage.fromarray(image).resize(size, PilImage.Resampling.BOX)))
    small = np.asarray(
        PilImage.fromarray(clusters.astype(np.int32)).resize(size, PilImage.Resampling.NEAREST)
    )
    present = PilImage.fromarray(mask.astype(np.float32)).resize(size, PilImage.Resampling.BOX)
    seeds = _place_seeds(inside, outside, small.shape)
    depth = _measure_depth(np.asarray(present) > 0.5)
    prior = _compute_prior(lab, small, np.asarray(present) > 0.5, seeds, depth)
    weight = _PRIOR + _HOLD * _measure_distance(seeds, depth)
    chance = _walk(lab, small, prior, weight, _grow_seeds(seeds, depth))
    picture = PilImage.fromarray(chance.astype(np.float32))
    large = picture.resize(shape[::-1], PilImage.Resampling.BILINEAR)
    return ((np.asarray(large) > 0.5) | inside) & ~outside


def _place_seeds(inside: np.ndarray, outside: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Reduce marks to a grid of ``shape``: int8, 1 inside, 0 outside, −1 unmarked.

    A cell with both marks is decided by their numbers of pixels.
    """
    counts = np.zeros((2, *shape), np.int64)
    for side, marks in enumerate((outside, inside)):
        y, x = np.nonzero(marks)
        rows, columns = (
            ((place + 0.5) * small / whole).astype(int)
            for place, small, whole in zip((y, x), shape, marks.shape, strict=True)
        )
        np.add.at(counts[side], (rows, columns), 1)
    decided = np.where(counts[1] >= counts[0], np.int8(1), np.int8(0))
    return np.where(counts.any(0), decided, np.int8(-1))


def _compute_prior(
    lab: np.ndarray,
    clusters: np.ndarray,
    present: np.ndarray,
    seeds: np.ndarray,
    depth: np.ndarray,
) -> np.ndarray:
    """Compute the prior p of :func:`solve_marks` on the grid, (h, w) in [0, 1]."""
    smooth = ndimage.gaussian_filter(lab, (_BLUR, _BLUR, 0))
    long_side = max(seeds.shape)
    row, column = np.ogrid[: seeds.shape[0], : seeds.shape[1]]
    reach = np.zeros((2, *seeds.shape))
    for y, x in _thin_out(seeds):
        apart = ((smooth - smooth[y, x]) ** 2).sum(-1) / _LIKE**2
        spread = min(_NEAR * long_side, _SHARE * depth[y, x])
        away = ((row - y) ** 2 + (column - x) ** 2) / spread**2
        alike = np.exp(-(apart + away) / 2) * np.where(clusters == clusters[y, x], 1, _OTHER)
        side = seeds[y, x]
        reach[side] = np.maximum(reach[side], alike)
    return (_PRESENT * present + reach[1]) / (_PRESENT + reach.sum(0))


def _measure_distance(seeds: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Measure the distance to the marks in units of their reach: (h, w) in [0, 1], 0 near a mark.

    If the present mask is empty or full, which leaves nothing to keep, it is 0 everywhere.
    """
    row, column = np.ogrid[: seeds.shape[0], : seeds.shape[1]]
    near = np.zeros(seeds.shape)
    for y, x in _thin_out(seeds):
        reach = _CHANGE * depth[y, x]
        away = ((row - y) ** 2 + (column - x) ** 2) / reach**2
        near = np.maximum(near, np.exp(-away / 2))
    return 1 - near


def _measure_depth(present: np.ndarray) -> np.ndarray:
    """Return the distance of each pixel to the outline of the mask, at least half a pixel."""
    if present.all() or not present.any():
        return np.full(present.shape, np.inf)
    inner, outer = (np.asarray(ndimage.distance_transform_edt(m)) for m in (present, ~present))
    return np.maximum(inner, outer) - 0.5


_MOST = 200  # marks that are compared with all pixels: 0.5 ms each on the grid


def _thin_out(seeds: np.ndarray) -> np.ndarray:
    """Return (N, 2) rows and columns of at most about 200 seeds, evenly chosen from strokes."""
    places = np.argwhere(seeds >= 0)
    return places[:: -(-len(places) // _MOST)]


def _grow_seeds(seeds: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Grow seeds to discs.

    A disc ends at the outline of the present mask, and halfway to the nearest other seed.

    Args:
      seeds: (h, w) int8, 1 inside, 0 outside, −1 unmarked.
      depth: (h, w) distance to the outline of the present mask.
    """
    found = ndimage.distance_transform_edt(seeds < 0, return_indices=True)
    assert isinstance(found, tuple)
    distance, (rows, columns) = found
    radius = np.minimum(_RADIUS * max(seeds.shape), depth[rows, columns])
    return np.where(distance <= radius, seeds[rows, columns], np.int8(-1))


def _walk(
    lab: np.ndarray,
    clusters: np.ndarray,
    prior: np.ndarray,
    trust: np.ndarray,
    seeds: np.ndarray,
) -> np.ndarray:
    """Solve the random walker with the weights ``trust`` of the prior, (h, w) in [0, 1]."""
    from scipy import sparse  # slow imports, rarely needed
    from scipy.sparse.linalg import spsolve

    index = np.arange(seeds.size).reshape(seeds.shape)
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    colors, labels = lab.reshape(-1, 3), clusters.ravel()
    apart = ((colors[first] - colors[second]) ** 2).sum(1)
    # The constant keeps pixels connected behind the strongest edges.
    weight = np.exp(-apart / (2 * _EDGE**2)) + 1e-3
    weight *= np.where(labels[first] == labels[second], 1, _BETWEEN)
    both = np.concatenate([first, second]), np.concatenate([second, first])
    graph = sparse.csr_array((np.tile(weight, 2), both), shape=(seeds.size, seeds.size))
    matrix = sparse.csr_array(sparse.diags_array(graph.sum(1) + trust.ravel()) - graph)
    known, free = np.flatnonzero(seeds >= 0), np.flatnonzero(seeds < 0)
    result = seeds.ravel().astype(float)
    if free.size:
        rows = matrix[free]
        wanted = (trust * prior).ravel()[free] - rows[:, known] @ result[known]
        # The order for symmetric matrices needs a third of the time of the default.
        result[free] = spsolve(rows[:, free].tocsc(), wanted, permc_spec="MMD_AT_PLUS_A")
    return result.reshape(seeds.shape)
