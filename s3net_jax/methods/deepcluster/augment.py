"""Random views of images, with their pseudo labels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["augment"]


def augment(
    key: Array, images: Array, labels: Array, *, flip: bool, jitter: float
) -> tuple[Array, Array]:
    """Mirror images together with their labels, and jitter brightness and contrast.

    Args:
      key: PRNG key.
      images: images (N, H, W, C) in [0, 1].
      labels: labels (N, H, W).
      flip: whether to mirror each image left to right with a probability of one half.
      jitter: largest change j in [0, 1) of contrast and brightness: with c and b drawn from
        U(−j, j) for each image, x becomes m + (1 + c)·(x − m) + b, cut to [0, 1], where m is the
        image's mean; 0 leaves the values as they are.

    Returns:
      Images and labels of the same shapes.
    """
    key_flip, key_jitter = jax.random.split(key)
    count = images.shape[0]
    if flip:
        mirrored = jax.random.bernoulli(key_flip, shape=(count, 1, 1))
        labels = jnp.where(mirrored, labels[:, :, ::-1], labels)
        images = jnp.where(mirrored[..., None], images[:, :, ::-1], images)
    if jitter > 0:
        draws = jax.random.uniform(
            key_jitter, (2, count, 1, 1, 1), images.dtype, minval=-jitter, maxval=jitter
        )
        mean = jnp.mean(images, (1, 2, 3), keepdims=True)
        images = jnp.clip(mean + (1 + draws[0]) * (images - mean) + draws[1], 0, 1)
    return images, labels
