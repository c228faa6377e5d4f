"""Dense convolution in plain JAX: patches, then one matrix product.

``lax.conv`` is avoided: with kernels that vary over a vmapped batch it becomes a grouped
convolution, which is slow on every platform; a matrix product becomes a batched product.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.operands import Conv2d

__all__ = ["conv2d"]


def conv2d(o: Conv2d) -> Array:
    """See ``api.conv2d``."""
    x, w, b, kind = o.x, o.w, o.b, compute_dtype(o)
    (kh, kw, channels, features), (height, width) = w.shape, x.shape[1:3]
    around = ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0))
    # Widen first: the gradient by x sums over taps, and must not be rounded after each of them.
    padded = jnp.pad(x.astype(kind), around)
    taps = [padded[:, i : i + height, j : j + width] for i in range(kh) for j in range(kw)]
    matrix = w.reshape(kh * kw * channels, features).astype(kind)
    y = jnp.concatenate(taps, axis=-1) @ matrix
    return (y if b is None else y + b.astype(kind)).astype(x.dtype)
