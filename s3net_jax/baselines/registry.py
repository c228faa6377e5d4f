"""The baselines by name."""

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
"""Name → what it makes of an image (H, W, 3) uint8."""


def get_baseline(name: str, clusters: int | None = None) -> Callable[[np.ndarray], Prediction]:
    """The baseline called ``name``, of images (H, W, 3) uint8.

    Args:
      name: in :data:`BASELINES`.
      clusters: how many it looks for, if it can be told (k-means); None: its own number.

    Raises:
      ConfigError: an unknown baseline, one that can't be told, or less than two clusters.
    """
    if name not in BASELINES:
        raise ConfigError(f"There is no baseline {name!r}.{suggest_nearest(name, list(BASELINES))}")
    predict = BASELINES[name]
    if clusters is None:
        return predict
    if "clusters" not in inspect.signature(predict).parameters:
        raise ConfigError(f"The baseline {name!r} can't be told a number of clusters.")
    if clusters < 2:
        raise ConfigError(f"clusters is {clusters}: there must be at least two.")
    return partial(predict, clusters=clusters)  # pyright: ignore[reportCallIssue] (asked above)
