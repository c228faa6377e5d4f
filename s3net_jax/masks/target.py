"""Choose the clusters that form the target, without ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.errors import ConfigError, InputError, suggest_nearest
from s3net_jax.io import LUMA
from s3net_jax.masks.auto import compute_center_weight, find_best_clusters
from s3net_jax.masks.cleanup import clean, fill_holes, find_border_regions, label_regions
from s3net_jax.masks.shapes import subsample

__all__ = ["RULES", "Target", "check_point", "check_target", "choose_target", "rescale_target"]

RULES = ("auto", "dark", "bright", "center", "point:X,Y", "all")

# Not tuned: a user chooses the rules `dark`, `bright` and `center`, and no evaluation covers them.
SUBSTANTIAL = 0.005  # smallest cluster, as a fraction of the image, for ``dark`` and ``bright``
CENTER_SIGMA = 0.1  # standard deviation of the Gaussian of ``center``, as a fraction of the sides
_LONG_SIDE = 256  # longest side in pixels for choosing the target; the mask has full resolution


@dataclass(frozen=True, eq=False)
class Target:
    """The chosen clusters and their cleaned mask.

    Attributes:
      labels: chosen labels in ascending order; empty if there is only one cluster.
      mask: (H, W) bool; for ``point``, only the connected region that contains the point.
    """

    labels: tuple[int, ...]
    mask: np.ndarray


def check_target(target: str) -> tuple[str, tuple[int, int] | None]:
    """Parse a target into its rule and, for ``point:X,Y``, the point (x, y), else None.

    Raises:
      ConfigError: if the target is not one of :data:`RULES`.
    """
    rule, colon, place = target.partition(":")
    if rule == "point":
        x, comma, y = place.partition(",")
        if not (colon and comma and x.strip().isdecimal() and y.strip().isdecimal()):
            raise ConfigError(
                f"Invalid target {target!r}: write point:X,Y, with X pixels from the left and Y "
                "pixels from the top."
            )
        return rule, (int(x), int(y))
    if target not in RULES:
        raise ConfigError(f"There is no target {target!r}.{suggest_nearest(target, list(RULES))}")
    return rule, None


def rescale_target(target: str, shape: tuple[int, int], size: tuple[int, int], name: str) -> str:
    """Translate a target from an image to a resized copy of it.

    Args:
      target: target rule for the image; a point is given in its pixels.
      shape: size (H, W) of the image.
      size: size (h, w) of the copy.
      name: name of the image in error messages.

    Raises:
      InputError: if the point is outside the image.
    """
    _, point = check_target(target)
    if point is None:
        return target
    check_point(target, shape, name)
    x, y = (
        int((p + 0.5) * small / whole)
        for p, small, whole in zip(point, size[::-1], shape[::-1], strict=True)
    )
    return f"point:{x},{y}"


def choose_target(
    labels: np.ndarray, image: np.ndarray, config: SegmentConfig, name: str = "The image"
) -> Target:
    """Choose the clusters of the target by ``config.target``, and clean their mask.

    - ``auto``: see :func:`s3net_jax.masks.auto.find_best_clusters`; may join several clusters.
    - ``dark``, ``bright``: the cluster with the lowest or highest mean luminance among those that
      cover at least 0.5 % of the image and are not entirely in regions at the border.
    - ``center``: the cluster that covers most of the centre, weighted by a Gaussian whose standard
      deviation is a tenth of the side.
    - ``point:X,Y``: the connected region of the cluster at column X, row Y. Its holes are filled if
      ``config.fill_holes``; no other clean-up is applied.
    - ``all``: every cluster except the background, the one with the most pixels on the border.

    Args:
      labels: (H, W) integer label map.
      image: (H, W, 3) uint8 image.
      config: segmentation settings; the target and clean-up fields are read.
      name: name of the image in error messages.

    Raises:
      ConfigError: if the rule is unknown.
      InputError: if the point is outside the image.
    """
    rule, point = check_target(config.target)
    if point is not None:
        return _choose_at_point(labels, point, config, name)
    values = np.unique(labels)
    if len(values) == 1:
        return Target((), np.zeros(labels.shape, bool))
    small_labels, small_image = _reduce(labels, image)
    if rule == "auto":
        chosen = find_best_clusters(small_labels, small_image, config)
    elif rule in ("dark", "bright"):
        chosen = (_find_extreme(small_labels, small_image, config, rule == "bright"),)
    elif rule == "center":
        weight = compute_center_weight(small_labels.shape, CENTER_SIGMA)
        covered = [np.sum(weight[small_labels == value]) for value in values]
        chosen = (int(values[np.argmax(covered)]),)
    else:
        background = _find_border_label(labels)
        chosen = tuple(int(value) for value in values if value != background)
    return Target(chosen, clean(np.isin(labels, chosen), config))


def check_point(target: str, shape: tuple[int, ...], name: str) -> None:
    """Raise :class:`InputError` if ``target`` is a point outside an image of size (H, W)."""
    _, point = check_target(target)
    height, width = shape
    if point is not None and not (point[0] < width and point[1] < height):
        x, y = point
        raise InputError(f"{name} has {width}×{height} pixels; the point {x},{y} is outside it.")


def _choose_at_point(
    labels: np.ndarray, point: tuple[int, int], config: SegmentConfig, name: str
) -> Target:
    check_point(config.target, labels.shape, name)
    x, y = point
    value = labels[y, x]
    regions = label_regions(labels == value)
    mask = regions == regions[y, x]
    return Target((int(value),), fill_holes(mask) if config.fill_holes else mask)


def _reduce(labels: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reduce labels and image to at most 256 pixels a side."""
    step = -(-max(labels.shape) // _LONG_SIDE)
    if step == 1:
        return labels, image
    small = subsample(labels, step)
    size = (small.shape[1], small.shape[0])
    picture = PilImage.fromarray(image).resize(size, PilImage.Resampling.BOX)
    return small, np.asarray(picture)


def _find_extreme(
    labels: np.ndarray, image: np.ndarray, config: SegmentConfig, bright: bool
) -> int:
    luminance = image @ LUMA
    ranked: list[tuple[bool, float, int]] = []
    for value in np.unique(labels):
        cluster = labels == value
        mask = clean(cluster, config)
        unfit = cluster.mean() < SUBSTANTIAL or (
            config.drop_border and not np.any(mask & ~find_border_regions(mask))
        )
        level = float(luminance[cluster & mask].mean())  # never empty after the clean-up
        ranked.append((bool(unfit), -level if bright else level, int(value)))
    return min(ranked)[2]


def _find_border_label(labels: np.ndarray) -> int:
    edge = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    values, counts = np.unique(edge, return_counts=True)
    return int(values[np.argmax(counts)])
