"""The layers of MS-Former that S3-Net does not have: layer normalisation, strided convolution."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_size
from s3net_jax.nn.draws import draw_fan_in_uniform
from s3net_jax.nn.layers import exclude_pallas, get_param_dtype
from s3net_jax.nn.options import check_common, check_rngs
from s3net_kernels import linear

__all__ = ["LayerNorm", "StridedConv"]

_EPSILON = 1e-5  # PyTorch's default, which the original keeps


class LayerNorm(nnx.Module):
    """Normalise the channels of each pixel: y = (x − mean) / √(var + 1e-5) · scale + bias.

    The variance is the biased one. Statistics are computed in float32, or in float64 if dtype is
    float64.

    Args:
      channels: number of channels C; input and output are (..., C).
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
    """

    def __init__(self, channels: int, *, dtype="float32"):
        check_common(dtype, None)
        channels = check_size("channels", channels)
        kind = get_param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.scale = nnx.Param(jnp.ones((channels,), kind))
        self.bias = nnx.Param(jnp.zeros((channels,), kind))

    def __call__(self, x: Array) -> Array:
        wide = x.astype(self.scale.dtype)
        # Subtract the mean first: E[x²] − E[x]² would cancel where the mean is large.
        centred = wide - jnp.mean(wide, -1, keepdims=True)
        variance = jnp.mean(jnp.square(centred), -1, keepdims=True)
        y = centred * jax.lax.rsqrt(variance + _EPSILON) * self.scale[...] + self.bias[...]
        return y.astype(self.dtype)


class StridedConv(nnx.Module):
    """Apply a 3×3 convolution with stride 2, one pixel of zero padding and a bias.

    y[n,h,w,o] = b[o] + Σ_ijc x[n, 2h + i − 1, 2w + j − 1, c] · w[i,j,c,o]

    Args:
      inputs: number of input channels.
      outputs: number of output channels; (N, H, W, inputs) becomes
        (N, ⌈H/2⌉, ⌈W/2⌉, outputs).
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of ``s3net_kernels.linear``; None selects the best available
        one.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        inputs, outputs = check_size("inputs", inputs), check_size("outputs", outputs)
        kind = get_param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.implementation = exclude_pallas(implementation)
        fan_in = 9 * inputs
        self.kernel = nnx.Param(draw_fan_in_uniform(rngs, (3, 3, inputs, outputs), fan_in, kind))
        self.bias = nnx.Param(draw_fan_in_uniform(rngs, (outputs,), fan_in, kind))

    def __call__(self, x: Array) -> Array:
        # The operator conv2d has stride 1 only. conv2d(x)[:, ::2, ::2] would compute four times
        # the results and discard three of them. Space-to-depth needs an even kernel, or one with
        # 108 inputs a pixel of which 81 are zero. Taking every second pixel of the nine shifted
        # images leaves 27 numbers a pixel, and one matrix product, which `linear` batches under
        # vmap; lax.conv with one kernel for each image would be a slow grouped convolution.
        height, width = x.shape[1], x.shape[2]
        padded = jnp.pad(x.astype(self.dtype), ((0, 0), (1, 1), (1, 1), (0, 0)))
        taps = [
            padded[:, i : i + height : 2, j : j + width : 2] for i in range(3) for j in range(3)
        ]
        patches = jnp.concatenate(taps, axis=-1)
        matrix = self.kernel[...].reshape(patches.shape[-1], -1)
        return linear(patches, matrix, self.bias[...], implementation=self.implementation)
