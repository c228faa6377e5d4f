"""A mask's boundary drawn anew, between what lies inside and outside of it nearby."""

from __future__ import annotations

from functools import cache

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.cleanup import fill_holes, label_regions
from s3net_jax.masks.shapes import find_central_parts, make_disc
from s3net_jax.masks.vignette import find_vignette

__all__ = ["redraw"]

_SIDE = 128  # pixels a side of the grid on which means are taken
_LONG_SIDE = 512  # the decision, unlike the means, is made on at most this many pixels a side
_WIDTHS = (0.15, 0.25, 0.4)  # of the sides: how far pixels count for a mean around them
_GLOBAL = 0.05  # share with which the mean over the whole side of the boundary joins each mean
_BAND = 2  # pixels of that grid on either side of the boundary that count for no mean
_ENOUGH = 0.002  # of the grid: with fewer pixels left on a side the band counts after all
_ROUNDS = 6
_SMOOTH = (0.001, 0.004)  # of the long side: at these two scales pixels are compared
_OPENED, _CLOSED = 0.005, 0.016  # of the long side: radii by which the outline is smoothed
_POCKET = 0.005  # of the image: larger holes that the smoothing makes stay open
_CENTRAL = 0.5  # of the weight of the main part: lighter ones are no part of the target
_KEPT = 0.2  # share of a part that must have been in the mask before


def redraw(
    image: np.ndarray, mask: np.ndarray, ignored: np.ndarray, config: SegmentConfig, central: bool
) -> np.ndarray:
    """``mask`` with its boundary where the image changes, in the manner of a region-based active
    contour with local means (Lankton and Tannenbaum, IEEE TIP 2008), but without a curve.

    Around every pixel the mean colours inside (u₁) and outside (u₀) of the mask are taken, with
    Gaussian weights, and without a narrow band along the boundary, where both sides mix; the
    pixel belongs to the mask if its colour x, projected on u₀ − u₁, lies under
    ``config.boundary_level`` of the way from u₁ to u₀. Mean over three widths of the Gaussians;
    repeated until nothing changes. Colours are weighted by ``config.boundary_colors``.

    Args:
      image: (H, W, 3) uint8.
      mask: (h, w) bool, of any size: where the target is, roughly.
      ignored: (h, w) bool, neither target nor surroundings, such as the air around a body.
      config: ``boundary_level``, ``boundary_colors`` and ``fill_holes`` are read.
      central: keep only parts of some weight (:func:`find_central_parts`); otherwise those that the
        mask had.

    Returns:
      (H, W) bool; empty where ``mask`` is.
    """
    if not mask.any():
        return np.zeros(image.shape[:2], bool)
    square, colors = (_SIDE, _SIDE), np.array(config.boundary_colors, np.float32)
    outside = find_vignette(image)
    small = _resize_image(image, square).astype(np.float32) / 255
    small = ndimage.gaussian_filter(small, (1, 1, 0))
    inside, apart = _resize_mask(mask, square), _resize_mask(ignored, square)
    frame = _resize_mask(outside, square)
    counted = (~(apart | frame)).astype(np.float32)
    for _ in range(_ROUNDS):
        means = _compute_local_means(small, inside, counted)
        wanted = (_compute_quotient([small], means, colors) < config.boundary_level) & ~frame
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
    wanted = (_compute_quotient(scales, means, colors) < config.boundary_level) & ~_resize_mask(
        outside, shape
    )
    radius = max(1, round(_OPENED * max(shape)))
    result = _keep_target(
        wanted, _resize_mask(inside, shape), _resize_mask(apart, shape), radius, config, central
    )
    if not result.any():  # nothing here looks like the target's own mean
        return _resize_mask(mask, (height, width))
    result = _close_parts(result, max(1, round(_CLOSED * max(shape))), config.fill_holes)
    return result if shape == (height, width) else _resize_mask(result, (height, width))


def _keep_target(
    wanted: np.ndarray,
    before: np.ndarray,
    apart: np.ndarray,
    radius: int,
    config: SegmentConfig,
    central: bool,
) -> np.ndarray:
    """``wanted`` opened, its holes filled, without parts that are not the target's."""
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
    """``mask`` closed part by part, so that two lungs that nearly meet stay two. Of the holes that
    this makes only pockets are filled, not the heart between two lungs that touch."""
    edge = radius + 1
    regions = np.pad(label_regions(mask), edge)
    result = np.zeros_like(regions, bool)
    for number, box in enumerate(ndimage.find_objects(regions), 1):
        place = tuple(slice(side.start - edge, side.stop + edge) for side in box)
        part = np.asarray(ndimage.binary_closing(regions[place] == number, make_disc(radius)), bool)
        result[place] |= part | _find_pockets(part, _POCKET * mask.size) if fill else part
    return result[edge:-edge, edge:-edge]


def _find_pockets(mask: np.ndarray, largest: float) -> np.ndarray:
    """The holes of ``mask`` with at most ``largest`` pixels."""
    holes = label_regions(fill_holes(mask) & ~mask)
    areas = np.bincount(holes.ravel())
    return (holes > 0) & (areas <= largest)[holes]


def _compute_local_means(
    pixels: np.ndarray, inside: np.ndarray, counted: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each width the mean colours inside and outside around every pixel: (h, w, 3) each."""
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
    """``counted`` on one side of the boundary, (h, w), away from it if enough is left there."""
    core = np.asarray(ndimage.binary_erosion(side, iterations=_BAND, border_value=1), bool)
    weight = core * counted
    return weight if weight.sum() > _ENOUGH * side.size else side * counted


def _compute_quotient(
    scales: list[np.ndarray], means: list[tuple[np.ndarray, np.ndarray]], colors: np.ndarray
) -> np.ndarray:
    """How far each pixel lies on the way from the inner mean (0) to the outer one (1); (h, w)."""
    total = np.zeros(scales[0].shape[:2], np.float32)
    for u1, u0 in means:
        weighted = (u0 - u1) * colors
        length = ((u0 - u1) * weighted).sum(-1) + 1e-5
        for pixels in scales:
            total += ((pixels - u1) * weighted).sum(-1) / length
    return total / (len(means) * len(scales))


def _blur(planes: np.ndarray, half: np.ndarray) -> np.ndarray:
    """Σ of the pixels around each, (..., side, side), weighted by ``half`` @ ``half.T`` along both
    axes."""
    return half @ (half.T @ planes @ half) @ half.T


@cache
def _make_half_blur(side: int, width: float) -> np.ndarray:
    """(side, r): times its transpose, the Gaussian weights of the pixels of a row around each.

    So wide a Gaussian has few degrees of freedom, and r is 8 to 15. Products with it are small
    enough for BLAS to do them in one thread: many threads of its own would wait for each other
    while a fit has the cores, which takes a hundred times as long.
    """
    place = np.arange(side)
    table = np.exp(-((place[:, None] - place) ** 2) / (2 * (width * side) ** 2))
    values, vectors = np.linalg.eigh(table / table.sum(1).max())
    kept = values > np.finfo(np.float32).eps * values.max()
    return (vectors[:, kept] * np.sqrt(values[kept])).astype(np.float32)


def _resize_image(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    if image.shape[:2] == shape:
        return image
    size = (shape[1], shape[0])
    return np.asarray(PilImage.fromarray(image).resize(size, PilImage.Resampling.BOX))


def _resize_mask(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A mask at another size, also a larger one."""
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
