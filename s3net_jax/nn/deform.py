"""Modulated deformable convolution (Zhu et al., Deformable ConvNets v2)."""

from __future__ import annotations

from typing import Literal, get_args

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_choice, check_size, check_sizes
from s3net_jax.nn.draws import draw_fan_in_uniform, draw_uniform
from s3net_jax.nn.layers import Conv, get_param_dtype
from s3net_jax.nn.options import check_common, check_rngs
from s3net_kernels import deform_conv2d

__all__ = ["DeformConv"]

_Offsets = Literal["predicted", "free"]
_KernelInit = Literal["default", "uniform"]


class DeformConv(nnx.Module):
    """Apply a k×k deformable convolution without bias; values outside the image are zero.

    Each tap samples the input bilinearly at its grid position plus an offset, and is multiplied
    by a mask value.

    Args:
      channels: number of channels C; input and output are (N, H, W, C).
      size: odd kernel size k.
      offsets: source of the offsets. ``"predicted"``: a k×k convolution of the input gives offsets
        and mask logits (mask = sigmoid); it starts at zero, so the layer initially equals half a
        plain convolution. ``"free"``: offsets and mask are parameters per pixel drawn from
        U[0, 1), as in the released code; the module then accepts only one image size.
      kernel_init: ``"default"`` for fan-in uniform; ``"uniform"`` for U[0, 1), as released.
      shape: image shape (H, W); required with ``"free"``, not accepted otherwise.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of ``s3net_kernels.deform_conv2d``; None selects the best
        available one.
      rngs: NNX random streams.

    Raises:
      ValueError: ``"free"`` without ``shape``, ``"predicted"`` with ``shape``, an input whose size
        differs from ``shape``, or an option that does not exist.
    """

    def __init__(
        self,
        channels: int,
        *,
        size: int = 3,
        offsets: _Offsets = "predicted",
        kernel_init: _KernelInit = "default",
        shape: tuple[int, int] | None = None,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels = check_size("channels", channels)
        size = check_size("size", size, odd=True)
        check_choice("offsets", offsets, get_args(_Offsets))
        check_choice("kernel_init", kernel_init, get_args(_KernelInit))
        if offsets == "free" and shape is None:
            raise ValueError("Free offsets are parameters per pixel: pass shape=(H, W).")
        if offsets == "predicted" and shape is not None:
            raise ValueError(
                f"shape={shape} has no effect with offsets='predicted', which accepts every image "
                "size. Omit it, or use offsets='free'."
            )
        if shape is not None:
            height, width = check_sizes("shape", shape, count=2)
            shape = (height, width)
        kind = get_param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.taps = size * size
        self.implementation = implementation

        def unit_uniform(shape: tuple[int, ...]) -> Array:
            return draw_uniform(rngs, shape).astype(kind)

        kernel_shape = (size, size, channels, channels)
        if kernel_init == "uniform":
            self.kernel = nnx.Param(unit_uniform(kernel_shape))
        else:
            fan_in = channels * self.taps
            self.kernel = nnx.Param(draw_fan_in_uniform(rngs, kernel_shape, fan_in, kind))
        # NNX fixes an attribute's kind at its first assignment, so assign each exactly once.
        predict = offset = mask = None
        if offsets == "predicted":
            predict = Conv(
                channels,
                3 * self.taps,
                size,
                zero=True,
                dtype=dtype,
                implementation=implementation,
                rngs=rngs,
            )
        else:
            assert shape is not None
            offset = nnx.Param(unit_uniform((1, *shape, 2 * self.taps)))
            mask = nnx.Param(unit_uniform((1, *shape, self.taps)))
        self.predict, self.offset, self.mask = predict, offset, mask

    def __call__(self, x: Array) -> Array:
        x = x.astype(self.dtype)
        kernel = self.kernel[...]
        if self.predict is not None:
            # bfloat16 has 8 significant bits: too few for sub-pixel coordinates in a large image.
            wide = self.predict(x).astype(kernel.dtype)
            offset, mask = wide[..., : 2 * self.taps], jax.nn.sigmoid(wide[..., 2 * self.taps :])
        else:
            assert self.offset is not None and self.mask is not None
            if self.offset.shape[1:3] != x.shape[1:3]:
                raise ValueError(
                    f"The free offsets are for images of shape {self.offset.shape[1:3]}, but the "
                    f"input has {x.shape[1:3]}: construct the module with shape={x.shape[1:3]}."
                )
            rows = (x.shape[0], *x.shape[1:3])
            offset = jnp.broadcast_to(self.offset[...], (*rows, 2 * self.taps))
            mask = jnp.broadcast_to(self.mask[...], (*rows, self.taps))
        return deform_conv2d(x, offset, mask, kernel, implementation=self.implementation)
