"""Look up baselines by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import numpy as np

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

__all__ = ["BASELINES", "get_baseline"]

BASELINES: dict[str, Callable[[np.ndarray], Prediction]] = {
    "whole image": take_whole_image,
    "Otsu, dark": segment_otsu_dark,
    "Otsu, dark, inner": segment_otsu_inner,
    "Otsu, dark, largest inner part": segment_otsu_inner_part,
    "k-means on RGB": segment_kmeans_colors,
    "classical recipe": segment_by_recipe,
    "best without a network": segment_without_network,
}
"""Name → function that segments an image (H, W, 3) uint8."""


def get_baseline(name: str, clusters: int | None = None) -> Callable[[np.ndarray], Prediction]:
    """Return the baseline called ``name``, a function of images (H, W, 3) uint8.

    Args:
      name: name in :data:`BASELINES`.
      clusters: number of clusters, for baselines that accept one (k-means); None for the default.

    Raises:
      ConfigError: if the baseline is unknown or does not accept a number of clusters, or if
        ``clusters`` is below 2.
    """
    if name not in BASELINES:
        raise ConfigError(f"There is no baseline {name!r}.{suggest_nearest(name, list(BASELINES))}")
    predict = BASELINES[name]
    if clusters is None:
        return predict
    if "clusters" not in inspect.signature(predict).parameters:
        raise ConfigError(f"The baseline {name!r} has a fixed number of clusters: remove clusters.")
    if clusters < 2:
        raise ConfigError(f"clusters must be at least 2, got {clusters}.")
    return partial(predict, clusters=clusters)  # pyright: ignore[reportCallIssue] (checked above)
