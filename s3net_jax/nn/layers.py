"""The layers S3-Net is made of, as matrix products and operators of ``s3net_kernels``.

No ``lax.conv`` anywhere: with weights that vary over a vmapped batch of images it becomes a
grouped convolution, which every platform is slow at; a matrix product becomes a batched one.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_kernels import depthwise_conv2d

__all__ = [
    "BatchNorm",
    "Conv",
    "DepthwiseConv",
    "Pointwise",
    "fan_in_uniform",
    "normalise",
    "param_dtype",
]


def param_dtype(dtype: jnp.dtype | str) -> jnp.dtype:
    """Parameters are float32, and float64 where the activations are."""
    return jnp.dtype(jnp.float64 if jnp.dtype(dtype) == jnp.float64 else jnp.float32)


def fan_in_uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype) -> Array:
    """U(−1/√fan_in, 1/√fan_in): PyTorch's default for kernels and biases of convolutions."""
    bound = fan_in**-0.5
    # Drawn in float32 whatever the dtype, so that a seed means the same network in each.
    draw = jax.random.uniform(rngs.params(), shape, jnp.float32, -bound, bound)
    return draw.astype(dtype)


class Pointwise(nnx.Module):
    """1×1 convolution: (..., Cin) → (..., Cout), one matrix product.

    Args:
      inputs, outputs: numbers of channels.
      bias: whether a bias is added.
      dtype: of the activations; parameters are float32 (float64 with float64).
      rngs: NNX random streams.
    """

    def __init__(
        self, inputs: int, outputs: int, *, bias: bool = True, dtype="float32", rngs: nnx.Rngs
    ):
        kind = param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.kernel = nnx.Param(fan_in_uniform(rngs, (inputs, outputs), inputs, kind))
        self.bias = nnx.Param(fan_in_uniform(rngs, (outputs,), inputs, kind)) if bias else None

    def __call__(self, x: Array) -> Array:
        y = x.astype(self.dtype) @ self.kernel[...].astype(self.dtype)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)


class Conv(nnx.Module):
    """k×k convolution, stride 1, zero "same" padding: patches, then one matrix product.

    Args:
      inputs, outputs: numbers of channels.
      size: k, odd.
      bias: whether a bias is added.
      zero: start from zero kernel and bias (for predicted offsets) instead of fan-in uniform.
      dtype: of the activations; parameters are float32 (float64 with float64).
      rngs: NNX random streams.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        bias: bool = True,
        zero: bool = False,
        dtype="float32",
        rngs: nnx.Rngs,
    ):
        kind = param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        fan_in = inputs * size * size

        def start(shape: tuple[int, ...]) -> Array:
            return jnp.zeros(shape, kind) if zero else fan_in_uniform(rngs, shape, fan_in, kind)

        self.kernel = nnx.Param(start((size, size, inputs, outputs)))
        self.bias = nnx.Param(start((outputs,))) if bias else None

    def __call__(self, x: Array) -> Array:
        kernel = self.kernel[...].astype(self.dtype)
        size, _, inputs, outputs = kernel.shape
        height, width = x.shape[-3:-1]
        half = size // 2
        edges = [(0, 0)] * (x.ndim - 3) + [(half, half), (half, half), (0, 0)]
        padded = jnp.pad(x.astype(self.dtype), edges)
        taps = [
            padded[..., i : i + height, j : j + width, :] for i in range(size) for j in range(size)
        ]
        y = jnp.concatenate(taps, axis=-1) @ kernel.reshape(size * size * inputs, outputs)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)


class DepthwiseConv(nnx.Module):
    """Depthwise k×k convolution with dilation and bias, zero "same" padding.

    Args:
      channels: C; input and output are (N, H, W, C).
      size: k, odd.
      dilation: distance between taps, at least 1.
      dtype: of the activations; parameters are float32 (float64 with float64).
      implementation: of ``s3net_kernels.depthwise_conv2d``; None takes the best.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        *,
        dilation: int = 1,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        kind = param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.dilation = dilation
        self.implementation = implementation
        self.kernel = nnx.Param(fan_in_uniform(rngs, (size, size, channels), size * size, kind))
        self.bias = nnx.Param(fan_in_uniform(rngs, (channels,), size * size, kind))

    def __call__(self, x: Array) -> Array:
        return depthwise_conv2d(
            x.astype(self.dtype),
            self.kernel[...],
            self.bias[...],
            dilation=self.dilation,
            implementation=self.implementation,
        )


class BatchNorm(nnx.Module):
    """Batch normalisation with the statistics of the very input, always.

    y = (x − mean) / √(var + 1e-5) · scale + bias over all axes but the last, with the biased
    variance. S3-Net sees one image, and uses that image's statistics in training and for its
    final prediction alike, so there are no running averages. Statistics are computed in
    float32 (float64 with float64).

    Args:
      channels: C; input and output are (..., C).
      dtype: of the activations; parameters are float32 (float64 with float64).
    """

    def __init__(self, channels: int, *, dtype="float32"):
        kind = param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.scale = nnx.Param(jnp.ones((channels,), kind))
        self.bias = nnx.Param(jnp.zeros((channels,), kind))

    def __call__(self, x: Array) -> Array:
        y = normalise(x.astype(param_dtype(self.dtype)), self.scale[...], self.bias[...])
        return y.astype(self.dtype)


def normalise(x: Array, scale: Array, bias: Array, epsilon: float = 1e-5) -> Array:
    """(x − mean) / √(var + ε) · scale + bias, statistics over all axes but the last.

    Args:
      x: (..., C) floating point.
      scale, bias: (C,).
      epsilon: ε.
    """
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    variance = jnp.mean(jnp.square(x - mean), axes)
    return (x - mean) * (jax.lax.rsqrt(variance + epsilon) * scale) + bias
