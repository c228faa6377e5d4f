"""Segment images without learning, each method in a few lines."""

from __future__ import annotations

from typing import NamedTuple, cast

import numpy as np
from scipy import ndimage
from scipy.cluster.vq import kmeans2

from s3net_jax.config import SegmentConfig
from s3net_jax.io import LUMA
from s3net_jax.masks import (
    choose_target,
    clean,
    compact_labels,
    fill_holes,
    find_vignette,
    make_disc,
    weigh_parts,
)

__all__ = [
    "Prediction",
    "compute_otsu_threshold",
    "run_kmeans",
    "segment_by_recipe",
    "segment_kmeans_colors",
    "segment_otsu_dark",
    "segment_otsu_inner",
    "segment_otsu_inner_part",
    "take_whole_image",
]

_SIDE = 256  # image size for which the widths of smoothing and opening are given


class Prediction(NamedTuple):
    """Clusters (H, W) int32 and a target mask (H, W) bool chosen without ground truth."""

    labels: np.ndarray
    mask: np.ndarray


def take_whole_image(image: np.ndarray) -> Prediction:
    """Return the whole image as one cluster and as the target."""
    shape = image.shape[:2]
    return Prediction(np.zeros(shape, np.int32), np.ones(shape, bool))


def segment_otsu_dark(image: np.ndarray) -> Prediction:
    """Take the dark side of Otsu's threshold of the luminance."""
    luminance = image @ LUMA
    dark = luminance <= compute_otsu_threshold(luminance)
    return Prediction((~dark).astype(np.int32), dark)


def segment_otsu_inner(image: np.ndarray) -> Prediction:
    """Take the dark side without parts at the border, with holes filled."""
    dark = segment_otsu_dark(image)
    return Prediction(dark.labels, clean(dark.mask, SegmentConfig()))


def segment_otsu_inner_part(image: np.ndarray) -> Prediction:
    """Take the largest part of the dark side that is not at the border, with holes filled."""
    inner = segment_otsu_inner(image)
    regions, count = cast(tuple[np.ndarray, int], ndimage.label(inner.mask))
    if count < 2:
        return inner
    areas = np.bincount(regions.ravel())
    areas[0] = 0
    return Prediction(inner.labels, regions == areas.argmax())


def segment_kmeans_colors(image: np.ndarray, clusters: int = 2) -> Prediction:
    """Cluster colours by k-means; choose the target by the default rule of this tool."""
    labels = compact_labels(run_kmeans(image, clusters))
    return Prediction(labels, choose_target(labels, image, SegmentConfig()).mask)


def run_kmeans(image: np.ndarray, clusters: int) -> np.ndarray:
    """Cluster the colours of (H, W, 3) by k-means with seed 0: (H, W) int32 in 0..clusters−1."""
    pixels = image.reshape(-1, image.shape[-1]).astype(np.float64)
    _, found = kmeans2(pixels, clusters, minit="++", rng=np.random.default_rng(0))
    return found.reshape(image.shape[:2])


def segment_by_recipe(image: np.ndarray) -> Prediction:
    """Segment a dermoscopic image by a classical recipe.

    Exclude the dermoscope's vignette (dark and connected to the corners), smooth the blue channel
    (σ = 3 pixels for images of 256 pixels a side), and split the rest by Otsu's threshold. Open the
    dark side, take its part with the largest √area · exp(−2 d²), where d is the distance of its
    centre from the image centre in half sides, and fill its holes.
    """
    scale = max(image.shape[:2]) / _SIDE
    outside = find_vignette(image)
    blue = ndimage.gaussian_filter(image[..., 2].astype(np.float64), 3 * scale)
    kept = ~outside
    if not kept.any() or np.ptp(blue[kept]) == 0:
        return take_whole_image(image)
    dark = (blue <= compute_otsu_threshold(blue[kept])) & kept
    opened = ndimage.binary_opening(dark, make_disc(round(2 * scale)))
    mask = _find_best_part(opened if opened.any() else dark)
    return Prediction((~dark).astype(np.int32), fill_holes(mask))


def _find_best_part(mask: np.ndarray) -> np.ndarray:
    regions, weights = weigh_parts(mask)
    return regions == 1 + np.argmax(weights) if weights.size > 1 else mask


def compute_otsu_threshold(values: np.ndarray) -> float:
    """Compute Otsu's threshold (1979) from 256 bins; values up to it are the lower class."""
    from skimage.filters import threshold_otsu

    return float(threshold_otsu(np.asarray(values)))
