"""Model the background of an image as a smooth surface, and propose what is darker than it."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from scipy import ndimage

from s3net_jax.masks.cleanup import fill_holes
from s3net_jax.masks.shapes import find_central_parts, make_disc

__all__ = ["Background", "fit_background", "propose_dark_parts"]

# The constants of this file were chosen once, by what they mean and by looking at some twenty
# development images of both halves. None was tuned or compared with other values.
_FLOOR = 0.03
"""Added to colours in [0, 1] before the logarithm, so that sensor noise in black does not count."""

_DEGREE = 2  # of the polynomial: light falls off like a bowl
_ROUNDS = 12  # of re-weighting

_INNER_TRUST = 0.15
"""Weight of the image's centre relative to its border in the fit: targets are rarely at the
border."""

_DARK_SCALE, _BRIGHT_SCALE = 2.0, 4.0
"""Robust standard deviations at which the weights of dark and of bright pixels fall. Dark pixels
may be the target, and lose weight faster (as a Gaussian; bright ones as a Lorentzian)."""

_RIDGE = 1e-9  # keeps the normal equations regular if all pixels used are on a line

_BLURS = (1.0, 2.5)
"""Standard deviations in pixels of the blurs before the fit, for images of 128 pixels: the second
removes the speckle of ultrasound."""

_LEVELS = np.linspace(0.12, 0.8, 10)
"""Thresholds as fractions of the 99th percentile of the residual."""

_FAINTEST = 0.01
"""Least 99th percentile of the residual: a darkness of 1 %, three grey levels of bright skin. Below
it, only noise and rounding are left."""

_PARTS = 4  # largest parts of every threshold that are proposed by themselves
_SMALLEST = 0.002  # smallest part, as a fraction of the image; as for proposals of networks
_JOINED = 0.3  # smallest weight of a part that joins the heaviest one; as for proposals
_COLORED = 0.01  # mean |red − green| in [0, 1] above which an image has colours


class Background(NamedTuple):
    """A smooth background and what differs from it.

    Attributes:
      residual: (h, w, 3) float64, log background − log image; above 0 where the image is darker.
      spread: robust standard deviation of the mean residual of the background.
    """

    residual: np.ndarray
    spread: float


def fit_background(pixels: np.ndarray, used: np.ndarray, blur: float) -> Background:
    """Fit a quadratic surface to the logarithm of the colours, as if without the target.

    Iteratively re-weighted least squares: with the residual r = surface − log(pixels + 0.03), the
    mean over the colours, and its robust standard deviation s, the weight of a pixel is that of its
    place, 0.15 + min(1, d²) with the distance d from the centre in half sides, times
    exp(−(r / 2s)² / 2) if it is darker than the surface and 1 / (1 + (r / 4s)²) otherwise.

    Args:
      pixels: (h, w, 3) floating-point colours in [0, 1].
      used: (h, w) bool, the field of view; at least one pixel.
      blur: standard deviation in pixels of a blur before the fit.
    """
    height, width = used.shape
    smooth = ndimage.gaussian_filter(np.asarray(pixels, np.float64), (blur, blur, 0))
    colors = np.log(smooth + _FLOOR).reshape(-1, 3)
    y = (np.arange(height) - (height - 1) / 2) / (height / 2)
    x = (np.arange(width) - (width - 1) / 2) / (width / 2)
    down, right = np.meshgrid(y, x, indexing="ij")
    terms = [right**i * down**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
    basis = np.stack(terms, -1).reshape(-1, len(terms))
    inside = used.ravel()
    trust = (_INNER_TRUST + np.minimum(1, down**2 + right**2)).ravel() * inside
    weights, residual, spread = trust, np.zeros_like(colors), 0.0
    ridge = _RIDGE * len(basis) * np.eye(len(terms))
    for _ in range(_ROUNDS):
        # einsum instead of BLAS, whose threads would compete with the fits (masks/auto.py).
        normal = np.einsum("ni,n,nj->ij", basis, weights, basis, optimize=False) + ridge
        right_side = np.einsum("ni,n,nc->ic", basis, weights, colors, optimize=False)
        residual = np.einsum("ni,ic->nc", basis, np.linalg.solve(normal, right_side)) - colors
        mean = residual.mean(1)
        middle = np.median(mean[inside])
        bright = np.abs(mean[inside & (mean < middle)] - middle)
        # The bright half only: dark residuals belong to the target. 1.4826 turns the median
        # absolute deviation of a normal distribution into its standard deviation.
        spread = 1.4826 * float(np.median(bright)) + 0.01 if bright.size else 0.01
        dark = np.exp(-((mean / (_DARK_SCALE * spread)) ** 2) / 2)
        light = 1 / (1 + (mean / (_BRIGHT_SCALE * spread)) ** 2)
        weights = trust * np.where(mean > 0, dark, light)
    return Background(residual.reshape(height, width, 3), spread)


def propose_dark_parts(image: np.ndarray, used: np.ndarray) -> tuple[list[np.ndarray], Background]:
    """Propose connected parts that are darker than the background, or redder.

    The residual of :func:`fit_background` is thresholded at ten levels. The largest parts of each
    level, and the union of its central parts, are proposals. Coloured images are thresholded by the
    redness of the residual, too.

    Args:
      image: (h, w, 3) uint8 image of about 128 pixels.
      used: (h, w) bool, the field of view; no proposal leaves it.

    Returns:
      ``(masks, background)``: (h, w) bool masks without holes, some of them equal, and the
      background at the smaller blur.
    """
    pixels = image.astype(np.float64) / 255
    fits = [fit_background(pixels, used, blur) for blur in _BLURS]
    maps = [fit.residual.mean(-1) for fit in fits]
    if np.abs(pixels[..., 0] - pixels[..., 1]).mean() > _COLORED:
        red = fits[0].residual[..., 1] - fits[0].residual[..., 0]
        maps.append(ndimage.gaussian_filter(red, _BLURS[0]))
    masks = [mask for values in maps for mask in _threshold(values, used)]
    return masks, fits[0]


def _threshold(values: np.ndarray, used: np.ndarray) -> list[np.ndarray]:
    top = float(np.quantile(values[used], 0.99))
    if top <= _FAINTEST:
        return []
    masks = []
    for level in _LEVELS * top:
        opened = ndimage.binary_opening((values > level) & used, make_disc(1))
        regions, count = cast(tuple[np.ndarray, int], ndimage.label(opened))
        if count == 0:
            continue
        areas = np.bincount(regions.ravel())[1:]
        large = [n + 1 for n in np.argsort(-areas, kind="stable")[:_PARTS]]
        large = [n for n in large if areas[n - 1] >= _SMALLEST * used.size]
        masks += [fill_holes(regions == n) for n in large]
        if len(large) > 1:
            masks.append(fill_holes(find_central_parts(np.isin(regions, large), _JOINED)))
    return masks
