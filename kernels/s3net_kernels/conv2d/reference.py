"""Dense convolution, slow and obvious; gradients by automatic differentiation."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from s3net_kernels._check import compute_dtype
from s3net_kernels.operands import Conv2d

__all__ = ["conv2d"]


def conv2d(o: Conv2d, dtype=None) -> Array:
    """See ``api.conv2d``; pad with zeros and sum tap by tap, in ``dtype``."""
    x, w, b, kind = o.x, o.w, o.b, dtype or compute_dtype(o)
    (kh, kw, _, features), (height, width) = w.shape, x.shape[1:3]
    around = ((0, 0), (kh // 2, kh // 2), (kw // 2, kw // 2), (0, 0))
    padded = jnp.pad(x.astype(kind), around)
    y = jnp.zeros((*x.shape[:3], features), kind)
    for i in range(kh):
        for j in range(kw):
            window = padded[:, i : i + height, j : j + width]
            y = y + jnp.matmul(window, w[i, j].astype(kind), precision="highest")
    return (y if b is None else y + b.astype(kind)).astype(x.dtype)
