"""Look up baselines by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import numpy as np

from s3net_jax.baselines.partition import divide_into_grid, segment_slic
from s3net_jax.baselines.trivial import (
    Prediction,
    segment_by_recipe,
    segment_kmeans_colors,
    segment_otsu_dark,
    segment_otsu_inner,
    segment_otsu_inner_part,
    take_whole_image,
)
from s3net_jax.baselines.without_network import segment_without_network
from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["BASELINES", "REGION_BASELINES", "get_baseline"]

BASELINES: dict[str, Callable[[np.ndarray], Prediction]] = {
    "whole image": take_whole_image,
    "Otsu, dark": segment_otsu_dark,
    "Otsu, dark, inner": segment_otsu_inner,
    "Otsu, dark, largest inner part": segment_otsu_inner_part,
    "k-means on RGB": segment_kmeans_colors,
    "classical recipe": segment_by_recipe,
    "best without a network": segment_without_network,
}
"""Name → function that segments an image (H, W, 3) uint8, to compare masks of a target."""

# Numbers of clusters: 2 as in BASELINES, then up to about what people distinguish in a photograph.
REGION_BASELINES: dict[str, Callable[[np.ndarray], Prediction]] = {
    "whole image": take_whole_image,
    "grid, 4×4": divide_into_grid,
    "SLIC": segment_slic,
    "k-means on RGB": segment_kmeans_colors,
    **{
        f"k-means on RGB, K={clusters}": partial(segment_kmeans_colors, clusters=clusters)
        for clusters in (3, 5, 8)
    },
}
"""Name → function that segments an image (H, W, 3) uint8, to compare regions of the whole image."""

_ALL = {**BASELINES, **REGION_BASELINES}


def get_baseline(name: str, clusters: int | None = None) -> Callable[[np.ndarray], Prediction]:
    """Return the baseline called ``name``, a function of images (H, W, 3) uint8.

    Args:
      name: name in :data:`BASELINES` or :data:`REGION_BASELINES`.
      clusters: number of clusters, for baselines that accept one (k-means, SLIC); None for the
        default.

    Raises:
      ConfigError: if the baseline is unknown or does not accept a number of clusters, or if
        ``clusters`` is below 2.
    """
    if name not in _ALL:
        raise ConfigError(f"There is no baseline {name!r}.{suggest_nearest(name, list(_ALL))}")
    predict = _ALL[name]
    if clusters is None:
        return predict
    has_fixed = isinstance(predict, partial)  # such as "k-means on RGB, K=3"
    if has_fixed or "clusters" not in inspect.signature(predict).parameters:
        raise ConfigError(f"The baseline {name!r} has a fixed number of clusters: remove clusters.")
    if clusters < 2:
        raise ConfigError(f"clusters must be at least 2, got {clusters}.")
    return partial(predict, clusters=clusters)  # pyright: ignore[reportCallIssue] (checked above)
