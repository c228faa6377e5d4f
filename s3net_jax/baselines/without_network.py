"""Run the preset ``best`` with k-means in place of its networks."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.baselines.trivial import Prediction, run_kmeans, take_whole_image
from s3net_jax.io import to_image
from s3net_jax.masks import find_proposed_segments
from s3net_jax.presets import preset

__all__ = ["segment_without_network"]

_CLUSTERS = (2, 3, 4, 6, 8)  # numbers of clusters, one label map for each


def segment_without_network(image: np.ndarray) -> Prediction:
    """Segment like ``best``, with proposals from k-means on colours instead of networks.

    Proposals come from 2, 3, 4, 6 and 8 clusters at network resolution. Target and boundary are
    chosen as in ``best``, so the difference from ``best`` shows what the networks contribute.
    """
    config = preset("best")
    size = (config.input.size, config.input.size)
    picture = PilImage.fromarray(image)
    small = np.asarray(picture.resize(size, PilImage.Resampling.BOX))
    maps = [run_kmeans(small, clusters) for clusters in _CLUSTERS]
    whole = [
        np.asarray(
            PilImage.fromarray(labels.astype(np.uint8)).resize(
                picture.size, PilImage.Resampling.NEAREST
            ),
            np.int32,
        )
        for labels in maps
    ]
    found, _ = find_proposed_segments(maps, whole, to_image(image), config.segment)
    if not found.target:
        return take_whole_image(image)
    return Prediction(found.labels, found.mask)
