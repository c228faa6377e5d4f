"""A loss term of the caller's own, beside the three of the method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.tree_util import Partial

from s3net_jax.errors import NotNumbersError
from s3net_jax.fitting.arrays import read_numbers, to_array

__all__ = ["ExtraLoss", "extra_term", "read_extra"]

ExtraLoss = Callable[[Array, Array, Array], Array]
"""``(logits (H, W, K), labels (H, W) int32, image (H, W, 3)) -> ()``: of one image, the main
head's logits, its pseudo label, and the image as the network sees it."""


def read_extra(term: ExtraLoss | None, dtype: jnp.dtype) -> Partial | None:
    """``term`` as a pytree: the function is static, and what ``Partial`` binds are arrays of the
    fit, which can be vmapped and differentiated.

    Args:
      term: the function, or one with bound arrays.
      dtype: of bound Python floats, which have none of their own.

    Raises:
      TypeError: it can't be called, or binds something that is no array.
    """
    if term is None:
        return None
    if not callable(term):
        raise TypeError(
            f"extra_loss is {type(term).__name__}: give a function of logits, labels and image."
        )
    if not isinstance(term, Partial):
        return Partial(term)
    return jax.tree.map(lambda leaf: _read_bound(leaf, dtype), term)


def _read_bound(leaf: Any, dtype: jnp.dtype) -> Array:
    given = getattr(leaf, "dtype", None)
    if given is not None and jnp.issubdtype(given, jax.dtypes.prng_key):
        return leaf
    if isinstance(leaf, bool) or str(given) == "bool":
        return to_array(leaf if isinstance(leaf, Array) else np.asarray(leaf), bool)
    try:
        numbers = read_numbers(leaf)
    except NotNumbersError as error:
        raise TypeError(
            f"extra_loss binds {error}: jax.tree_util.Partial takes arrays and numbers; bind "
            "anything else with functools.partial."
        ) from None
    scalar = isinstance(leaf, float | np.floating) or getattr(numbers, "weak_type", False)
    if scalar and jnp.issubdtype(numbers.dtype, jnp.floating):
        return to_array(numbers, dtype)
    return to_array(numbers, jax.dtypes.canonicalize_dtype(numbers.dtype))


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
