"""``vmap`` of a kernel folded into its own axis of images: one launch, whatever is batched."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

__all__ = ["fold_images"]


def fold_images(
    function: Callable[..., Any], groups: int, images: tuple[bool, ...], *args: Array
) -> Any:
    """``function(groups, *args)``, whose ``vmap`` is one call on more images and groups.

    Every array has a leading axis: of images, or of groups of images that share parameters,
    where image n of N belongs to group n // (N / groups). Parameters for all images have
    a single group; all arrays of parameters have the same number of groups.

    Args:
      function: takes the number of groups in its results, then the arrays. Every result has a
        leading axis of images or of ``groups``.
      groups: the number of groups of parameters in the results (for gradients of parameters).
      images: for each array, whether its leading axis is of images.
      *args: the arrays.
    """
    mapped = custom_vmap(lambda *arrays: function(groups, *arrays))

    @mapped.def_vmap
    def rule(size: int, batched: list[bool], *arrays: Array):
        # A kernel finds the group of an image once for all parameters: if one has several, all do.
        several = any(
            not of_images and (has_axis or array.shape[0] > 1)
            for array, has_axis, of_images in zip(arrays, batched, images, strict=True)
        )
        folded = []
        for array, has_axis, of_images in zip(arrays, batched, images, strict=True):
            if not has_axis and (of_images or several):
                array, has_axis = jnp.broadcast_to(array, (size, *array.shape)), True
            if has_axis:
                array = array.reshape(size * array.shape[1], *array.shape[2:])
            folded.append(array)
        results = fold_images(function, groups * size, images, *folded)
        results = jax.tree.map(lambda r: r.reshape(size, r.shape[0] // size, *r.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    return mapped(*args)
