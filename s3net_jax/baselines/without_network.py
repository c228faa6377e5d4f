"""What is left of the preset ``best`` without its networks."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.baselines.trivial import Prediction, run_kmeans, take_whole_image
from s3net_jax.io import to_image
from s3net_jax.masks import find_proposed_segments
from s3net_jax.presets import preset

__all__ = ["segment_without_network"]

_CLUSTERS = (2, 3, 4, 6, 8)


def segment_without_network(image: np.ndarray) -> Prediction:
    """``best`` with k-means on the colours in place of networks: 2, 3, 4, 6 and 8 clusters at
    the networks' size are the proposals; target and boundary are chosen as ``best`` does.

    What a learned proposal is worth is the difference to this.
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
