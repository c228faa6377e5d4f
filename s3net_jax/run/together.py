"""Many images in memory: prepared, put together by shape, fitted as batches, segmented."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from s3net_jax.config import Config, ConfigError
from s3net_jax.io import Image, prepare, prepared_shape
from s3net_jax.masks import check_target
from s3net_jax.run.single import Segmentation, segmentation_of

__all__ = ["segment_together"]


def segment_together(
    images: Sequence[Image], config: Config, seeds: Sequence[int]
) -> list[list[Segmentation]]:
    """See :func:`s3net_jax.segment_batch`."""
    if len(seeds) == 0:
        raise ValueError("segment_batch needs at least one seed.")
    check_target(config.segment.target)
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        groups[prepared_shape(image.shape, config.input)].append(index)
    results: list[list[Segmentation]] = [[] for _ in images]
    for members in groups.values():
        for index, found in zip(
            members, _segment_group([images[i] for i in members], config, seeds), strict=True
        ):
            results[index] = found
    return results


def _segment_group(
    images: list[Image], config: Config, seeds: Sequence[int]
) -> list[list[Segmentation]]:
    """Of images whose network inputs have one shape."""
    import jax

    from s3net_jax.fitting import fit_batch
    from s3net_kernels import UnsupportedError

    start = time.perf_counter()
    pixels = np.stack([prepare(image, config.input) for image in images])
    keys = jax.vmap(jax.random.key)(np.tile(np.asarray(seeds, np.uint32), len(images)))
    inputs = jax.numpy.asarray(np.repeat(pixels, len(seeds), axis=0))
    try:
        fits = fit_batch(keys, inputs, config)
    except UnsupportedError as error:
        raise ConfigError(f"{error} (model.implementation={config.model.implementation})") from None
    each = (time.perf_counter() - start) / len(keys)
    found = []
    for n, image in enumerate(images):
        places = range(n * len(seeds), (n + 1) * len(seeds))
        singles = [jax.tree.map(lambda a, p=p: a[p], fits) for p in places]
        found.append([segmentation_of(f, f.logits, image, config, each) for f in singles])
    return found
