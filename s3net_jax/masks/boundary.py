"""Redraw the boundary of a mask from local colour means inside and outside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.cleanup import fill_holes, find_pockets, label_regions
from s3net_jax.masks.shapes import find_central_parts, make_disc
from s3net_jax.masks.surround import choose_finder

__all__ = ["redraw", "redraw_at_levels"]

# "Development split" below is the PH² split on which settings were tried; docs/quality.md lists the
# trials with their figures.

_SIDE = 128
"""Side in pixels of the square grid on which local means are computed. Means are smooth, so a
coarse grid suffices: 64 loses 0.6 points on PH², 256 changes nothing."""

_LONG_SIDE = 512
"""Longest side in pixels of the grid on which the final decision is made; bounds time and memory
for large images. With 256, PH² gains 0.1 and lung CT loses 0.1."""

_WIDTHS = (0.15, 0.25, 0.4)
"""Standard deviations of the Gaussians of the local means, as fractions of the side. On the
development split, widths from 0.1 to 0.6 change the blind DSC by at most 0.2 points."""

_GLOBAL = 0.05
"""Weight of the mean over the whole region in every local mean. It keeps the mean defined where no
pixel of the region is near; half and double change less than 0.05 points."""

_BAND = 2
"""Pixels of the grid on either side of the boundary that are left out of the means, because both
sides mix there. Bands of 1 to 4 pixels gave 92.6 to 93.0 DSC on the development split."""

_ENOUGH = 0.002
"""Fraction of the grid that must remain on a side without the band; otherwise the band is used.
Half and double change nothing."""

_ROUNDS = 6
"""Maximum number of iterations; up to 12 change the DSC by at most 0.2 points on the development
split."""

_SMOOTH = (0.001, 0.004)
"""Standard deviations of the two smoothing scales at which pixels are compared with the means, as
fractions of the long side. Half: +0.1 on both sets; double: −0.1 on PH², −0.2 on lung CT."""

_OPENED, _CLOSED = 0.005, 0.016
"""Radii of the final opening and closing, as fractions of the long side. Closing has the larger
radius, so that vessels at the edge of a lung become part of it; at first both were 0.008. Half and
double of the opening lose 0.3 and 0.5 on PH², of the closing at most 0.2 on either set."""

_POCKET = 0.005
"""Largest hole that is filled after closing, as a fraction of the image. Larger holes, such as the
heart between two lungs that touch, stay open. Half and double change nothing."""

_CENTRAL = 0.5
"""Smallest weight of a part that is kept, relative to the heaviest part. Chosen instead of 0.3
on HAM10000 (docs/quality.md). Half changes nothing; 0.8 loses 9 points on lung CT."""

_NARROWEST = 1.5
"""Least distance in pixels of the grid that a boundary with a limited reach may move: its own
pixels and their neighbours, diagonal ones included."""

_KEPT = 0.2
"""Fraction of a part that must already be in the mask for the part to be kept. Half and double
change nothing."""


def redraw(
    image: np.ndarray, mask: np.ndarray, ignored: np.ndarray, config: SegmentConfig, central: bool
) -> np.ndarray:
    """Move the boundary of ``mask`` to where the colours of the image change.

    This is a region-based active contour with local means (Lankton and Tannenbaum, IEEE TIP 2008)
    that classifies pixels instead of evolving a curve. For every pixel, the mean colours inside
    (u₁) and outside (u₀) the mask are computed with Gaussian weights around that pixel, leaving
    out a narrow band along the boundary, where both sides mix. The pixel belongs to the mask if
    its colour x, projected onto u₀ − u₁, is less than ``config.boundary_level`` of the way from u₁
    to u₀. This quotient is averaged over three Gaussian widths; channels are weighted by
    ``config.boundary_colors``. The steps repeat until the mask no longer changes. With
    ``config.boundary_reach`` > 0, only pixels change that are within that fraction of the square
    root of the mask's area from its original boundary.

    Args:
      image: (H, W, 3) uint8 image.
      mask: (h, w) bool, rough position of the target at any resolution.
      ignored: (h, w) bool, pixels that are neither target nor surroundings, such as the air around
        a body.
      config: segmentation settings; ``boundary_level``, ``boundary_reach``, ``boundary_colors``,
        ``choice`` and ``fill_holes`` are read.
      central: whether to keep the parts near the image centre (:func:`find_central_parts`); if
        False, keep the parts that overlap ``mask``.

    Returns:
      (H, W) bool mask; all False if ``mask`` is.
    """
    return redraw_at_levels(image, mask, ignored, config, central, (config.boundary_level,))[0]


def redraw_at_levels(
    image: np.ndarray,
    mask: np.ndarray,
    ignored: np.ndarray,
    config: SegmentConfig,
    central: bool,
    levels: Sequence[float],
) -> list[np.ndarray]:
    """Redraw the boundary as :func:`redraw` does, but make the last decision at several levels.

    The local means are those of ``config.boundary_level`` for all levels, so each further level
    costs little.

    Args:
      image, mask, ignored, config, central: as for :func:`redraw`.
      levels: positions of the outline between the inner mean (0) and the outer mean (1).

    Returns:
      (H, W) bool mask of each level; all False if ``mask`` is.
    """
    if not mask.any():
        return [np.zeros(image.shape[:2], bool) for _ in levels]
    square, colors = (_SIDE, _SIDE), np.array(config.boundary_colors, np.float32)
    outside = choose_finder(config.choice)(image)
    small = _resize_image(image, square).astype(np.float32) / 255
    small = ndimage.gaussian_filter(small, (1, 1, 0))
    inside, apart = _resize_mask(mask, square), _resize_mask(ignored, square)
    frame = _resize_mask(outside, square)
    counted = (~(apart | frame)).astype(np.float32)
    start, movable = inside, _find_movable(inside, config.boundary_reach)
    for _ in range(_ROUNDS):
        means = _compute_local_means(small, inside, counted)
        wanted = _compute_quotient([small], means, colors) < config.boundary_level
        wanted = np.where(movable, wanted, start) & ~frame
        new = _keep_target(wanted, inside, apart, 1, config, central)
        if not new.any() or (new == inside).all():
            break
        inside = new
    height, width = image.shape[:2]
    scale = min(1, _LONG_SIDE / max(height, width))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    fine = _resize_image(image, shape).astype(np.float32) / 255
    sigmas = [sigma * max(shape) for sigma in _SMOOTH]
    scales = [ndimage.gaussian_filter(fine, (sigma, sigma, 0)) for sigma in sigmas]
    means = [(_enlarge(u1, shape), _enlarge(u0, shape)) for u1, u0 in means]
    quotient = _compute_quotient(scales, means, colors)
    free, before = ~_resize_mask(outside, shape), _resize_mask(inside, shape)
    apart, start = _resize_mask(apart, shape), _resize_mask(start, shape)
    movable = _resize_mask(movable, shape)
    radius = max(1, round(_OPENED * max(shape)))

    def decide(level: float) -> np.ndarray:
        wanted = np.where(movable, quotient < level, start) & free
        result = _keep_target(wanted, before, apart, radius, config, central)
        if not result.any():  # no pixel is close enough to the mean of the target
            return _resize_mask(mask, (height, width))
        result = _close_parts(result, max(1, round(_CLOSED * max(shape))), config.fill_holes)
        return result if shape == (height, width) else _resize_mask(result, (height, width))

    return [decide(level) for level in levels]


def _find_movable(mask: np.ndarray, reach: float) -> np.ndarray:
    """Return the pixels within ``reach`` times the root of the area from the boundary of ``mask``.

    All pixels if ``reach`` is 0, and at least the pixels beside the boundary otherwise.
    """
    if reach == 0:
        return np.ones_like(mask)
    width = max(_NARROWEST, reach * float(np.sqrt(np.count_nonzero(mask))))
    inside, outside = (np.asarray(ndimage.distance_transform_edt(m)) for m in (mask, ~mask))
    return np.maximum(inside, outside) <= width


def _keep_target(
    wanted: np.ndarray,
    before: np.ndarray,
    apart: np.ndarray,
    radius: int,
    config: SegmentConfig,
    central: bool,
) -> np.ndarray:
    """Open ``wanted``, fill its holes, and drop parts that do not belong to the target."""
    opened = np.asarray(ndimage.binary_opening(wanted, make_disc(radius)), bool)
    mask = opened if opened.any() else wanted
    mask = fill_holes(mask) if config.fill_holes else mask
    regions = label_regions(mask)
    count = int(regions.max())
    if count > 1:
        areas = np.bincount(regions.ravel(), minlength=count + 1)
        if central:
            stays = np.bincount(regions[apart], minlength=count + 1) < 0.5 * areas
        else:
            stays = np.bincount(regions[before], minlength=count + 1) >= _KEPT * areas
        stays[0] = False
        mask = stays[regions] if stays.any() else mask
    return find_central_parts(mask, _CENTRAL) if central else mask


def _close_parts(mask: np.ndarray, radius: int, fill: bool) -> np.ndarray:
    """Close each part of ``mask`` separately, so that two lungs that nearly touch stay separate.

    Of the holes that closing creates, only small ones are filled, not the heart between two lungs
    that touch.
    """
    edge = radius + 1
    regions = np.pad(label_regions(mask), edge)
    result = np.zeros_like(regions, bool)
    for number, box in enumerate(ndimage.find_objects(regions), 1):
        place = tuple(slice(side.start - edge, side.stop + edge) for side in box)
        part = np.asarray(ndimage.binary_closing(regions[place] == number, make_disc(radius)), bool)
        result[place] |= part | find_pockets(part, _POCKET * mask.size) if fill else part
    return result[edge:-edge, edge:-edge]


def _compute_local_means(
    pixels: np.ndarray, inside: np.ndarray, counted: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return, for each width, the local mean colours inside and outside: (h, w, 3) each."""
    result = []
    weights = [_drop_band(side, counted) for side in (inside, ~inside)]
    for width in _WIDTHS:
        half = _make_half_blur(pixels.shape[0], width)
        pair = []
        for weight in weights:
            planes = np.moveaxis(pixels, -1, 0) * weight
            whole = planes.sum((1, 2)) / max(float(weight.sum()), 1)
            near = np.moveaxis(_blur(planes, half), 0, -1)
            share = _blur(weight, half)[..., None]
            pair.append((near + _GLOBAL * whole) / (share + _GLOBAL))
        result.append((pair[0], pair[1]))
    return result


def _drop_band(side: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Restrict ``counted`` to one side of the boundary, without the band if enough remains."""
    core = np.asarray(ndimage.binary_erosion(side, iterations=_BAND, border_value=1), bool)
    weight = core * counted
    return weight if weight.sum() > _ENOUGH * side.size else side * counted


def _compute_quotient(
    scales: list[np.ndarray], means: list[tuple[np.ndarray, np.ndarray]], colors: np.ndarray
) -> np.ndarray:
    """Return each pixel's position from the inner mean (0) to the outer mean (1): (h, w)."""
    total = np.zeros(scales[0].shape[:2], np.float32)
    for u1, u0 in means:
        weighted = (u0 - u1) * colors
        length = ((u0 - u1) * weighted).sum(-1) + 1e-5  # avoids 0 / 0 where the means are equal
        for pixels in scales:
            total += ((pixels - u1) * weighted).sum(-1) / length
    return total / (len(means) * len(scales))


def _blur(planes: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Weight (..., side, side) planes by ``half @ half.T`` along both of their last axes."""
    return half @ (half.T @ planes @ half) @ half.T


@cache
def _make_half_blur(side: int, width: float) -> np.ndarray:
    """Factorise the (side, side) matrix of Gaussian weights as ``half @ half.T``.

    A Gaussian this wide is of low rank: r is 8 to 15. Products with the factor are small enough
    for BLAS to run them in one thread. Multithreaded BLAS would wait for cores that a fit is using,
    which took about fifty times as long (1.5 s instead of 0.03 s).

    Returns:
      (side, r) float32 factor.
    """
    place = np.arange(side)
    table = np.exp(-((place[:, None] - place) ** 2) / (2 * (width * side) ** 2))
    values, vectors = np.linalg.eigh(table / table.sum(1).max())
    # Eigenvalues below float32 resolution would only add rounding noise.
    kept = values > np.finfo(np.float32).eps * values.max()
    return (vectors[:, kept] * np.sqrt(values[kept])).astype(np.float32)


def _resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == shape:
        return image
    size = (shape[1], shape[0])
    return np.asarray(PilImage.fromarray(image).resize(size, PilImage.Resampling.BOX))


def _resize_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Resize a mask to ``shape``, larger or smaller."""
    if mask.shape == shape:
        return mask
    picture = PilImage.fromarray(mask.astype(np.uint8) * np.uint8(255))
    return np.asarray(picture.resize((shape[1], shape[0]), PilImage.Resampling.BILINEAR)) > 127


def _enlarge(means: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    size = (shape[1], shape[0])
    planes = [
        PilImage.fromarray(np.ascontiguousarray(means[..., c])).resize(
            size, PilImage.Resampling.BILINEAR
        )
        for c in range(means.shape[-1])
    ]
    return np.stack([np.asarray(plane) for plane in planes], -1)
