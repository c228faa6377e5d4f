"""Embed pictures in a page: shrunk, as data URIs, with outlines as SVG paths."""

from __future__ import annotations

import base64
import io
from typing import Literal

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage
from skimage import measure

from s3net_jax.report.markup import Markup, element

__all__ = [
    "compute_fit_size",
    "embed_picture",
    "encode_data_uri",
    "shrink",
    "trace_outline",
    "trace_regions",
]

_GRID = 160  # longest side in cells of the grid on which outlines are traced
_NEAR = 0.25  # tolerance in cells for simplifying an outline

# Regions are traced on a coarser grid, and those of fewer cells are not outlined: on noisy clusters
# their outlines would hide the picture and take more bytes. With these values the outlines of
# k-means (5 clusters) take 8 to 17 kB on four photographs, about as much as a thumbnail. 16 of the
# 9,600 cells of a photograph are 0.2 % of the image.
_REGION_GRID = 120
_FEWEST = 16


def compute_fit_size(shape: tuple[int, int], side: int) -> tuple[int, int]:
    """Scale ``shape`` (H, W) to a long side of ``side``; returns (width, height)."""
    scale = side / max(shape)
    return max(1, round(shape[1] * scale)), max(1, round(shape[0] * scale))


def shrink(image: np.ndarray, side: int) -> PilImage.Image:
    """Resize (H, W, 3) or (H, W) uint8 to a picture with a long side of ``side`` pixels."""
    picture = PilImage.fromarray(np.ascontiguousarray(image))
    size = compute_fit_size((picture.height, picture.width), side)
    small = size[0] < picture.width
    return picture.resize(size, PilImage.Resampling.BOX if small else PilImage.Resampling.BICUBIC)


def embed_picture(
    picture: PilImage.Image,
    alt: str,
    kind: Literal["JPEG", "PNG"] = "JPEG",
    class_: str | None = None,
) -> Markup:
    """Build an ``img`` element that contains the picture (:func:`encode_data_uri`)."""
    return element(
        "img",
        src=encode_data_uri(picture, kind),
        width=picture.width,
        height=picture.height,
        alt=alt,
        loading="lazy",
        class_=class_,
    )


def encode_data_uri(
    picture: PilImage.Image,
    kind: Literal["JPEG", "PNG"] = "JPEG",
    quality: int = 85,
) -> str:
    """Encode the picture as a ``data:`` URI: JPEG for photographs, PNG for few colours."""
    file = io.BytesIO()
    if kind == "JPEG":
        picture.convert("RGB").save(file, format="JPEG", quality=quality, optimize=True)
    else:
        picture.save(file, format="PNG", optimize=True)
    code = base64.b64encode(file.getvalue()).decode()
    return f"data:image/{kind.lower()};base64,{code}"


def trace_outline(mask: np.ndarray, grid: int = _GRID) -> tuple[str, int, int]:
    """Trace the outlines of a mask, including its holes, as the ``d`` attribute of an SVG path.

    Args:
      mask: (H, W) bool mask.
      grid: longest side in cells of the grid on which outlines are traced.

    Returns:
      The path (empty for an empty mask), and the width and height of its ``viewBox`` in tenths of a
      cell of the tracing grid.
    """
    size = compute_fit_size(mask.shape, min(grid, max(mask.shape)))
    soft = PilImage.fromarray(mask.astype(np.float32)).resize(size, PilImage.Resampling.BOX)
    framed = np.pad(np.asarray(soft), 1)
    parts = []
    for contour in measure.find_contours(framed, 0.5):
        points = measure.approximate_polygon(contour, _NEAR)
        # From sample centres, padded by one cell, to coordinates with the corner at 0.
        places = np.round((points - 0.5) * 10).astype(int)
        places = np.clip(places, 0, np.array([size[1], size[0]]) * 10)
        steps = np.diff(places, axis=0)
        if not steps.any():
            continue
        y, x = places[0]
        parts.append(f"M{x} {y}l" + " ".join(f"{dx} {dy}" for dy, dx in steps[:-1]) + "z")
    return "".join(parts), size[0] * 10, size[1] * 10


def trace_regions(labels: np.ndarray) -> tuple[str, int, int]:
    """Trace the boundaries between the regions of a label map, like :func:`trace_outline`.

    Args:
      labels: (H, W) integer label map; regions of fewer than 16 cells join their neighbours.

    Returns:
      The path (empty for a single region), and the width and height of its ``viewBox`` in tenths
      of a cell of the tracing grid.
    """
    width, height = compute_fit_size(labels.shape, min(_REGION_GRID, max(labels.shape)))
    rows = (np.arange(height) * 2 + 1) * labels.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * labels.shape[1] // (2 * width)
    cells = _merge_small_regions(np.asarray(labels)[np.ix_(rows, columns)])
    parts = [
        f"M{10 * x} {10 * (y + 1)}h{10 * length}"
        for y, x, length in _find_runs(cells[1:] != cells[:-1])
    ]
    parts += [
        f"M{10 * (x + 1)} {10 * y}v{10 * length}"
        for x, y, length in _find_runs((cells[:, 1:] != cells[:, :-1]).T)
    ]
    return "".join(parts), 10 * width, 10 * height


def _merge_small_regions(cells: np.ndarray) -> np.ndarray:
    regions = np.asarray(measure.label(cells, background=int(cells.min()) - 1, connectivity=1))
    is_small = np.bincount(regions.ravel())[regions] < _FEWEST
    if not is_small.any() or is_small.all():
        return regions
    nearest = ndimage.distance_transform_edt(is_small, return_distances=False, return_indices=True)
    return regions[tuple(np.asarray(nearest))]


def _find_runs(edges: np.ndarray) -> list[tuple[int, int, int]]:
    """Find runs of True along the rows of a bool array: row, first column, length."""
    steps = np.diff(np.pad(edges, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    ends = np.nonzero(steps == -1)[1]
    return list(zip(rows.tolist(), starts.tolist(), (ends - starts).tolist(), strict=True))
