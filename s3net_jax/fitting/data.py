"""Arrays that a method prepares from an image before it is fitted, such as superpixels."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s3net_jax.config import Config, check_config
from s3net_jax.fitting.checks import is_traced
from s3net_jax.methods import get_method

__all__ = ["add_axis", "prepare_data", "read_data"]


def prepare_data(image: Any, config: Config) -> Any:
    """Compute what a method needs beside the image itself; None for most methods.

    Args:
      image: (H, W, C) prepared image, as :func:`s3net_jax.prepare` returns it.
      config: configuration of the fit.

    Returns:
      A pytree of NumPy arrays, for the argument ``data`` of :func:`s3net_jax.fit`.
    """
    prepare = get_method(check_config(config).method.name).prepare
    return None if prepare is None else prepare(np.asarray(image), config)


def read_data(data: Any, images: Array, config: Config, count: int | None = None) -> Any:
    """Convert given data to arrays, or prepare them from (H, W, C) or (B, H, W, C) images.

    Args:
      data: argument of the caller, or None.
      images: images of the fits, or one image for all.
      config: configuration of the fits.
      count: number of fits of a batch, or None for a single fit.

    Raises:
      TypeError: data are needed but neither given nor computable, because the image is traced; or
        they have the wrong type.
      ValueError: data are given to a method that uses none, or are not what the method takes.
    """
    method = get_method(config.method.name)
    if data is not None and method.read_data is not None:
        shape = images.shape[-3], images.shape[-2]
        return method.read_data(data, shape if count is None else (count, *shape), config)
    if method.prepare is None:
        if data is not None:
            raise ValueError(f"The method {method.name} does not use data. Drop data.")
        return None
    if data is None:
        if is_traced(images):
            raise TypeError(
                f"The method {method.name} prepares data from the image on the host, which is not "
                "possible while it is traced: pass data=fitting.prepare_data(image, config)."
            )
        if images.ndim == 3:
            data = prepare_data(images, config)
        else:
            each = [prepare_data(image, config) for image in np.asarray(images)]
            data = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
    return jax.tree.map(jnp.asarray, data)


def add_axis(data: Any) -> Any:
    """Add a leading axis of one image."""
    return jax.tree.map(lambda leaf: leaf[None], data)
