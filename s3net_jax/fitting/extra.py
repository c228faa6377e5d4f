"""A loss term of the caller's own, beside the three of the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import Partial

__all__ = ["ExtraLoss", "as_extra", "extra_term"]

ExtraLoss = Callable[[Array, Array, Array], Array]
"""``(logits (H, W, K), labels (H, W) int32, image (H, W, 3)) -> ()``: of one image, the main
head's logits, its pseudo label, and the image as the network sees it."""


def as_extra(term: ExtraLoss | None) -> Partial | None:
    """``term`` as a pytree: the function is static, and what ``Partial`` binds are arrays of the
    fit, which can be vmapped and differentiated.

    Raises:
      TypeError: it can't be called.
    """
    if term is None or isinstance(term, Partial):
        return term
    if not callable(term):
        raise TypeError(
            f"extra_loss is {type(term).__name__}: give a function of logits, labels and image."
        )
    return Partial(term)


def extra_term(term: Any, logits: Array, labels: Array, images: Array) -> Array:
    """() mean of ``term`` over N images, in the images' dtype.

    Raises:
      ValueError: ``term`` returns something else than one number.
    """
    values = jax.vmap(lambda *one: jnp.asarray(term(*one)))(
        logits.astype(images.dtype), labels, images
    )
    if values.ndim != 1:
        raise ValueError(
            f"extra_loss returned an array of the shape {values.shape[1:]}: it must be one number."
        )
    return jnp.mean(values.astype(images.dtype))
