"""Fold ``vmap`` of a kernel into its axis of images: one launch for any batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

__all__ = ["add_group_axis", "fold_images"]


def add_group_axis(parameter: Array | None) -> Array | None:
    """Turn a parameter of all images, or None, into that of one group for :func:`fold_images`."""
    return None if parameter is None else parameter[None]


def fold_images(
    function: Callable[..., Any], groups: int, images: tuple[bool, ...], *args: Array | None
) -> Any:
    """Compute ``function(groups, *args)`` such that ``vmap`` adds images and groups to one call.

    Every array has a leading axis: of images, or of groups of images that share parameters, where
    image n of N belongs to group n // (N / groups). Parameters shared by all images have a single
    group; all parameter arrays have the same number of groups. An array or a result may be None.

    Args:
      function: function of the number of groups in its results, then the arrays. Every result has
        a leading axis of images or of ``groups``.
      groups: number of groups of parameters in the results (for gradients of parameters).
      images: for each array, whether its leading axis is of images.
      *args: arrays.
    """
    mapped = custom_vmap(lambda *arrays: function(groups, *arrays))

    @mapped.def_vmap
    def rule(size: int, batched: list[bool], *arrays: Array | None):
        # A kernel computes an image's group once for all parameters, so all need the same number.
        several = any(
            array is not None and not has_images and (has_axis or array.shape[0] > 1)
            for array, has_axis, has_images in zip(arrays, batched, images, strict=True)
        )
        folded = []
        for array, has_axis, has_images in zip(arrays, batched, images, strict=True):
            if array is None:
                folded.append(None)
                continue
            if not has_axis and (has_images or several):
                array, has_axis = jnp.broadcast_to(array, (size, *array.shape)), True
            if has_axis:
                array = array.reshape(size * array.shape[1], *array.shape[2:])
            folded.append(array)
        results = fold_images(function, groups * size, images, *folded)
        results = jax.tree.map(lambda r: r.reshape(size, r.shape[0] // size, *r.shape[1:]), results)
        return results, jax.tree.map(lambda _: True, results)

    return mapped(*args)
