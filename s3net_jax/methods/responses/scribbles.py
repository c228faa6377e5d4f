"""Scribbles: classes that a person marked at some pixels, as data of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from s3net_jax.config import Config
from s3net_jax.nn.layers import get_param_dtype

__all__ = ["SCRIBBLE_WEIGHT", "count_scribble_classes", "read_scribbles"]

SCRIBBLE_WEIGHT = 0.5
"""Weight of the marked pixels' cross entropy, the default of the released code (stepsize_scr)."""

_UNMARKED = 255  # value of unmarked pixels in the files that the released code reads


def read_scribbles(data: Any, shape: tuple[int, ...], config: Config) -> dict[str, Array]:
    """Check and convert the argument ``data`` of a fit with scribbles.

    Args:
      data: mapping with ``scribbles``, integer class of every pixel in 0..K−1, −1 or 255 where it
        is unmarked; and, optionally, ``weight``, the number that multiplies the cross entropy of
        the marked pixels.
      shape: (H, W) of the prepared image, or (B, H, W) for a batch, in which an array for one fit
        is used for all.
      config: configuration of the fit.

    Returns:
      ``scribbles``, int32 of the shape ``shape``, −1 where unmarked; and ``weight``, () or (B,).

    Raises:
      TypeError: ``data`` is no such mapping, or the classes are not integers.
      ValueError: a name or shape is wrong, or a class is out of range.
    """
    if not isinstance(data, Mapping):
        raise TypeError(
            f"data is a {type(data).__name__}; give a dict with the array 'scribbles', the class "
            "of every marked pixel."
        )
    if unknown := set(data) - {"scribbles", "weight"}:
        raise ValueError(f"data has the unknown name {min(unknown)!r}; use 'scribbles', 'weight'.")
    if "scribbles" not in data:
        raise ValueError("data has no 'scribbles': give the class of every marked pixel.")
    marks = _read_classes(data["scribbles"], shape, config.model.channels)
    weight = jnp.asarray(data.get("weight", SCRIBBLE_WEIGHT), get_param_dtype(config.model.dtype))
    if weight.shape not in ((), shape[:-2]):
        raise ValueError(f"data['weight'] has the shape {weight.shape}; give a single number.")
    return {
        "scribbles": jnp.broadcast_to(marks, shape),
        "weight": jnp.broadcast_to(weight, shape[:-2]),
    }


def _read_classes(given: Any, shape: tuple[int, ...], channels: int) -> Array:
    is_traced = isinstance(given, Tracer)
    marks = given if is_traced else np.asarray(given)
    if not jnp.issubdtype(marks.dtype, jnp.integer):
        raise TypeError(f"data['scribbles'] is {marks.dtype}; give integer classes.")
    if marks.shape not in (shape[-2:], shape):
        raise ValueError(
            f"data['scribbles'] has the shape {marks.shape}, but the prepared image has "
            f"{shape[-2:]}: resize it without interpolation."
        )
    if not is_traced:
        wrong = marks[(marks != _UNMARKED) & ((marks < -1) | (marks >= channels))]
        if wrong.size:
            raise ValueError(
                f"data['scribbles'] has the class {wrong[0]}; with model.channels={channels} "
                f"classes are 0 to {min(channels, _UNMARKED) - 1}, and -1 or 255 is unmarked."
            )
    marks = jnp.asarray(marks)
    return jnp.where(marks == _UNMARKED, -1, marks.astype(jnp.int32))


def count_scribble_classes(marks: Array, channels: int) -> Array:
    """Count the classes of an array of integers in −1..K−1, where −1 is none; () int32."""
    places = jnp.where(marks < 0, channels, marks).reshape(-1)
    # mode="drop" ignores the index K of unmarked pixels.
    present = jnp.zeros(channels, bool).at[places].set(True, mode="drop")
    return jnp.sum(present, dtype=jnp.int32)
