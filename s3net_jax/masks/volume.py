"""Choose one target for a whole volume whose slices have common labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.io import LUMA, Image
from s3net_jax.masks.auto import Splits, compute_center_weight, list_groups
from s3net_jax.masks.boundary import redraw
from s3net_jax.masks.cleanup import fill_holes
from s3net_jax.masks.rim import Rim
from s3net_jax.masks.shapes import subsample
from s3net_jax.masks.solid import clean_volume, find_central_bodies, label_bodies
from s3net_jax.masks.target import CENTER_SIGMA, SUBSTANTIAL, check_point, check_target
from s3net_jax.masks.vignette import resize_vignette
from s3net_jax.parallel import map_in_threads

__all__ = [
    "ThinVolume",
    "choose_volume_target",
    "draw_volume_mask",
    "find_best_split",
    "spread",
    "thin_volume",
]

_SIDE, _MANY_SIDE, _MANY = 128, 64, 32
_SLICES = 128
"""A target is chosen on at most ``_SLICES`` slices spread over the volume, with a longest side of
at most ``_SIDE`` pixels, or ``_MANY_SIDE`` if there are more than ``_MANY`` slices: at most 2¹⁹
voxels. For pictures, 64 instead of 128 pixels change less than 0.05 points (:mod:`.proposals`)."""

_SMALLEST = 0.002  # smallest candidate, as a fraction of the volume; as for pictures
_CENTRAL = 0.3  # smallest weight of a body that is kept, relative to the heaviest; as for pictures
_ALIKE = 0.5
"""Smallest DSC of an outline with the mask that it was drawn from; below it, the mask stays as the
network drew it. In slices where only specks of a target are left, such as the bowel gas of an
abdomen, the local means of :func:`.boundary.redraw` are those of other tissue, and the outline
spreads over half of the body (slices of the public CT of TotalSegmentator)."""

_ROUGH = 256  # longest side in pixels at which a mask is cleaned before its outline is redrawn


class ThinVolume(NamedTuple):
    """Some slices of a volume at a small size.

    Attributes:
      numbers: numbers of the slices in the volume.
      step: distance between the rows and columns of label maps that belong to its pixels.
      pixels: (slices, h, w, 3) float32 colours in [0, 1].
      outside: (slices, h, w) bool, the dark surroundings of every slice, such as the air.
    """

    numbers: list[int]
    step: int
    pixels: np.ndarray
    outside: np.ndarray

    def take(self, labels: np.ndarray) -> np.ndarray:
        """Reduce the labels of the whole volume, (all slices, H, W), to its grid."""
        return np.stack([subsample(labels[n], self.step) for n in self.numbers])


def spread(numbers: Sequence[int], count: int) -> list[int]:
    """Choose ``count`` of ``numbers``, in the middle of equal shares; all if there are fewer."""
    count = min(count, len(numbers))
    return [numbers[int((n + 0.5) * len(numbers) / count)] for n in range(count)]


def thin_volume(numbers: list[int], get_image: Callable[[int], np.ndarray]) -> ThinVolume:
    """Reduce a volume to the grid on which its target is chosen.

    Args:
      numbers: slices to use, without those of a single value.
      get_image: function that returns slice n as (H, W, 3) uint8 colours.
    """
    chosen = spread(numbers, _SLICES)
    side = _SIDE if len(chosen) <= _MANY else _MANY_SIDE
    shape = get_image(chosen[0]).shape[:2]
    step = -(-max(shape) // side)
    height, width = subsample(np.empty(shape, bool), step).shape

    def reduce(n: int) -> tuple[np.ndarray, np.ndarray]:
        image = get_image(n)
        picture = PilImage.fromarray(image).resize((width, height), PilImage.Resampling.BOX)
        small = np.asarray(picture)
        return small, resize_vignette(image, small)

    found = map_in_threads(reduce, chosen, shape[0] * shape[1])
    pixels = np.stack([small for small, _ in found]).astype(np.float32) / 255
    return ThinVolume(chosen, step, pixels, np.stack([outside for _, outside in found]))


def find_best_split(
    labels: np.ndarray, thin: ThinVolume, config: SegmentConfig, *, unions: bool = True
) -> tuple[tuple[int, ...], float]:
    """Find the group of clusters that splits the volume best.

    Candidates and score are those for pictures, over all slices at once: every cluster and the
    unions of the 2, 3, ... darkest and brightest ones (:func:`.auto.list_groups`), each scored
    after the clean-up by :meth:`.auto.Splits.score`. The score of a candidate that has more than
    half of the rim along the air is lowered (:meth:`.rim.Rim.weigh`), because a body is not the
    object among its organs.

    Args:
      labels: (slices, h, w) integer labels on the grid of ``thin``.
      thin: slices on which to choose.
      config: segmentation settings; the clean-up fields are read.
      unions: whether unions of clusters are candidates, too.

    Returns:
      ``(group, score)``: labels in ascending order, and the score in [0, 1]; ``((), −1.0)`` if no
      group is large enough.
    """
    splits, rim = Splits(thin.pixels), Rim(thin.outside)
    best, best_score = (), -1.0
    for group in list_groups(labels, thin.pixels @ LUMA, thin.outside):
        raw = np.isin(labels, group) & ~thin.outside
        if raw.mean() < _SMALLEST or (len(group) > 1 and not unions):
            continue
        mask = clean_volume(raw, config)
        ignored = (raw & ~mask) | thin.outside
        score = float(splits.score(mask[None], ignored[None])[0]) * rim.weigh(mask, ignored)
        if score > best_score:
            best, best_score = group, score
    return best, best_score


def choose_volume_target(
    labels: np.ndarray, thin: ThinVolume, config: SegmentConfig, name: str
) -> tuple[int, ...]:
    """Choose the clusters of the target by ``config.target``, once for the volume.

    - ``auto``: see :func:`find_best_split`.
    - ``dark``, ``bright``, ``center``, ``all``: as :func:`s3net_jax.masks.choose_target`, with the
      voxels of all slices in place of the pixels of an image.
    - ``point:X,Y``: the cluster that most slices have at column X, row Y.

    Args:
      labels: (slices, H, W) integer labels that mean the same in every slice; −1 in slices of a
        single value.
      thin: slices on which to choose.
      config: segmentation settings; the target and clean-up fields are read.
      name: name of the volume in error messages.

    Returns:
      Labels in ascending order; empty if there is only one cluster.

    Raises:
      ConfigError: the rule is unknown.
      InputError: the point is outside the slices.
    """
    rule, point = check_target(config.target)
    if point is not None:
        check_point(config.target, labels.shape[1:], name)
        column = labels[:, point[1], point[0]]
        column = column[column >= 0]
        return (int(np.bincount(column).argmax()),) if column.size else ()
    small = thin.take(labels)
    values = np.unique(small)
    if len(values) < 2:
        return ()
    if rule == "auto":
        return find_best_split(small, thin, config)[0]
    if rule in ("dark", "bright"):
        return (_find_extreme(small, thin, config, rule == "bright"),)
    if rule == "center":
        weight = compute_center_weight(small.shape[1:], CENTER_SIGMA)
        covered = [(weight * (small == value).sum(0)).sum() for value in values]
        return (int(values[np.argmax(covered)]),)
    edge = (small[:, 0], small[:, -1], small[:, 1:-1, 0], small[:, 1:-1, -1])
    found, counts = np.unique(np.concatenate([one.ravel() for one in edge]), return_counts=True)
    background = found[np.argmax(counts)]
    return tuple(int(value) for value in values if value != background)


def _find_extreme(labels: np.ndarray, thin: ThinVolume, config: SegmentConfig, bright: bool) -> int:
    luminance = thin.pixels @ LUMA
    ranked: list[tuple[bool, float, int]] = []
    border = config.drop_border
    for value in np.unique(labels):
        cluster = labels == value
        mask = clean_volume(cluster & ~thin.outside if border else cluster, config)
        seen = cluster & mask
        unfit = cluster.mean() < SUBSTANTIAL or not seen.any()
        level = float(luminance[seen if seen.any() else cluster].mean())
        ranked.append((bool(unfit), -level if bright else level, int(value)))
    return min(ranked)[2]


def draw_volume_mask(
    raw: np.ndarray, get_image: Callable[[int], Image | None], config: SegmentConfig
) -> np.ndarray:
    """Clean the pixels of a target in 3D, and draw their outline in every slice.

    Args:
      raw: (slices, H, W) bool, pixels of the target's clusters.
      get_image: function that returns slice n, or None for a slice of a single value.
      config: segmentation settings; the target, clean-up and boundary fields are read.

    Returns:
      (slices, H, W) bool mask. For a point it consists of the bodies that contain the point in any
      slice.
    """
    _, point = check_target(config.target)
    if point is not None:
        bodies = label_bodies(raw)
        column = bodies[:, point[1], point[0]]
        mask = np.isin(bodies, np.unique(column[column > 0]))
        return fill_holes(mask) if config.fill_holes else mask
    step = 1 if config.boundary == "clusters" else -(-max(raw.shape[1:]) // _ROUGH)

    def reduce(n: int) -> np.ndarray:
        small, image = subsample(raw[n], step), get_image(n)
        if image is None or not config.drop_border or not small.any():
            return small
        height, width = small.shape
        picture = PilImage.fromarray(image.rgb8())
        box = np.asarray(picture.resize((width, height), PilImage.Resampling.BOX))
        return small & ~resize_vignette(image.rgb8(), box)

    # Without the air around a body, which noise connects with it in one slice or another.
    small = np.stack(map_in_threads(reduce, range(len(raw)), raw[0].size))
    rough = clean_volume(small, config)
    if config.boundary == "clusters":
        return rough
    if config.target == "auto":
        rough = find_central_bodies(rough, _CENTRAL)

    def draw(n: int) -> np.ndarray:
        image = get_image(n)
        if image is None or not rough[n].any():
            return np.zeros(raw.shape[1:], bool)
        removed = subsample(raw[n], step) & ~rough[n]
        drawn = redraw(image.rgb8(), rough[n], removed, config, central=False)
        again = subsample(drawn, step)
        shared = 2 * np.count_nonzero(again & rough[n])
        if shared >= _ALIKE * (np.count_nonzero(again) + np.count_nonzero(rough[n])):
            return drawn
        picture = PilImage.fromarray(rough[n].astype(np.uint8) * np.uint8(255))
        size = (raw.shape[2], raw.shape[1])
        return np.asarray(picture.resize(size, PilImage.Resampling.BILINEAR)) > 127

    return np.stack(map_in_threads(draw, range(len(raw)), raw[0].size))
