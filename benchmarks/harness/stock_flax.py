"""S3-Net as one would first write it in Flax, with ``nnx.Conv`` and plain JAX.

It has the same network and parameter names as :class:`s3net_jax.nn.S3Net`, and is the baseline that
the operators of ``s3net_kernels`` are measured against.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.config import ModelConfig
from s3net_jax.nn import BatchNorm, S3Net

__all__ = ["StockS3Net"]


def _build_conv(inputs: int, outputs: int, size: int, rngs: nnx.Rngs, **options) -> nnx.Conv:
    return nnx.Conv(inputs, outputs, (size, size), padding="SAME", rngs=rngs, **options)


class _Block(nnx.Module):
    def __init__(self, c: ModelConfig, rngs: nnx.Rngs):
        k = c.channels
        self.residual = c.residual
        self.project_in = _build_conv(k, k, 1, rngs)
        own = c.inception == "local"
        locals_ = [
            _build_conv(k, k, size, rngs, feature_group_count=k)
            for size in (c.local_kernels if own else (c.local_kernel,))
        ]
        self.local = nnx.List(locals_) if own else locals_[0]
        self.branches = nnx.List(
            _build_conv(k, k, size, rngs, feature_group_count=k, kernel_dilation=d)
            for size, d in zip(c.kernel_sizes, c.dilations, strict=True)
        )
        self.mix = _build_conv(len(c.kernel_sizes) * k, k, 1, rngs)
        self.project_out = _build_conv(k, k, 1, rngs)

    def __call__(self, x: Array) -> Array:
        f = jax.nn.gelu(self.project_in(x), approximate=False)
        if isinstance(self.local, nnx.List):
            inputs = [local(f) for local in self.local]
        else:
            inputs = [self.local(f)] * len(self.branches)
        every = zip(self.branches, inputs, strict=True)
        u = f * self.mix(jnp.concatenate([branch(local) for branch, local in every], -1))
        if self.residual == "before_projection":
            return self.project_out(u + x)
        return self.project_out(u) + x


class _Deform(nnx.Module):
    """Gather at the sampling points, then apply one matrix product; gradients by autodiff."""

    def __init__(self, c: ModelConfig, shape: tuple[int, int], rngs: nnx.Rngs):
        k, size = c.channels, c.deform_kernel
        self.taps = size * size
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (size, size, k, k)) / (k * size))
        predict = offset = mask = None
        if c.deform == "predicted":
            predict = _build_conv(k, 3 * self.taps, size, rngs)
        else:
            offset = nnx.Param(jax.random.uniform(rngs.params(), (1, *shape, 2 * self.taps)))
            mask = nnx.Param(jax.random.uniform(rngs.params(), (1, *shape, self.taps)))
        self.predict, self.offset, self.mask = predict, offset, mask

    def __call__(self, x: Array) -> Array:
        if self.predict is not None:
            wide = self.predict(x)
            offset, mask = wide[..., : 2 * self.taps], jax.nn.sigmoid(wide[..., 2 * self.taps :])
        else:
            assert self.offset is not None and self.mask is not None
            offset, mask = self.offset[...], self.mask[...]
        return _deform_conv(x, offset, mask, self.kernel[...])


def _deform_conv(x: Array, offset: Array, mask: Array, kernel: Array) -> Array:
    """Gather the four corners of all taps at once, zero outside the image: (N, H, W, C)."""
    n, height, width, _ = x.shape
    size = kernel.shape[0]
    i, j = (a.reshape(-1) - size // 2 for a in jnp.mgrid[:size, :size])
    offset = offset.reshape(*offset.shape[:3], size * size, 2)
    y = jnp.arange(height)[:, None, None] + i + offset[..., 0]
    z = jnp.arange(width)[:, None] + j + offset[..., 1]
    image = jnp.arange(n)[:, None, None, None]
    top, left = jnp.floor(y), jnp.floor(z)
    columns = 0
    for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        weight = (1 - jnp.abs(y - row)) * (1 - jnp.abs(z - column)) * mask
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        at = (row.clip(0, height - 1).astype(int), column.clip(0, width - 1).astype(int))
        columns += jnp.where(inside, weight, 0)[..., None] * x[image, *at]
    return jnp.tensordot(columns, kernel.reshape(size * size, *kernel.shape[2:]), 2)


class StockS3Net(S3Net):
    """:class:`S3Net` built from stock layers.

    Args:
      config: network configuration; it must have ``block="attention"``, ``deform`` ``"predicted"``
        or ``"free"``, no colour branch and ``implementation="xla"``.
      shape: size (H, W) of the images.
      rngs: NNX random streams.
    """

    def __init__(self, config: ModelConfig, shape: tuple[int, int], *, rngs: nnx.Rngs):
        k = config.channels
        self.config = config

        def norm() -> BatchNorm:
            return BatchNorm(k, implementation="xla")

        self.stem, self.stem_norm = _build_conv(3, k, 3, rngs), norm()
        self.blocks = nnx.List(_Block(config, rngs) for _ in range(config.blocks))
        self.block_norms = nnx.List(norm() for _ in range(config.blocks))
        self.deform, self.deform_norm = _Deform(config, shape, rngs), norm()
        self.head, self.head_norm = _build_conv(k, k, 1, rngs), norm()
        self.auxiliary, self.auxiliary_norm = _build_conv(k, k, 1, rngs), norm()
        self.color = None

    def auxiliary_through(self, features: Array) -> tuple[Array, Array]:
        return self.auxiliary_logits(features), features
