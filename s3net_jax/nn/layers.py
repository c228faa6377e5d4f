"""The layers S3-Net is made of, as matrix products and operators of ``s3net_kernels``.

No ``lax.conv`` anywhere: with weights that vary over a vmapped batch of images it becomes a
grouped convolution, which every platform is slow at; a matrix product becomes a batched one.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_choice, check_size
from s3net_jax.errors import ConfigError
from s3net_jax.nn.draws import draw_fan_in_uniform
from s3net_jax.nn.options import check_common, check_rngs
from s3net_kernels import batch_norm, conv2d, depthwise_conv2d, linear, linear_norm

__all__ = [
    "BatchNorm",
    "Conv",
    "DepthwiseConv",
    "Pointwise",
    "apply_and_normalise",
    "exclude_pallas",
    "get_param_dtype",
]


def get_param_dtype(dtype: jnp.dtype | str) -> jnp.dtype:
    """Parameters are float32, and float64 where the activations are.

    Raises:
      ConfigError: float64, of which JAX would silently make float32.
    """
    if jnp.dtype(dtype) != jnp.float64:
        return jnp.dtype(jnp.float32)
    if jax.dtypes.canonicalize_dtype(jnp.float64) != jnp.float64:
        raise ConfigError(
            "model.dtype=float64 needs JAX in 64 bits: set the environment variable "
            "JAX_ENABLE_X64=1, or jax_enable_x64 in jax.config."
        )
    return jnp.dtype(jnp.float64)


def exclude_pallas(implementation: str | None) -> str | None:
    """For operators whose Pallas kernels do not serve every size, or that have none: the best one
    that does serve. On a GPU that is ``"pallas"`` wherever it can be."""
    return None if implementation == "pallas" else implementation


class Pointwise(nnx.Module):
    """1×1 convolution: (..., Cin) → (..., Cout), one matrix product with what follows it.

    Args:
      inputs, outputs: numbers of channels.
      bias: whether a bias is added.
      activation: None, or ``"gelu"``, exact, after the bias.
      dtype: of the activations; parameters are float32 (float64 with float64).
      implementation: of ``s3net_kernels.linear``; None takes the best.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool = True,
        activation: Literal["gelu"] | None = None,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        inputs, outputs = check_size("inputs", inputs), check_size("outputs", outputs)
        check_choice("activation", activation, (None, "gelu"))
        kind = get_param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.activation = activation
        self.implementation = exclude_pallas(implementation)
        self.kernel = nnx.Param(draw_fan_in_uniform(rngs, (inputs, outputs), inputs, kind))
        self.bias = nnx.Param(draw_fan_in_uniform(rngs, (outputs,), inputs, kind)) if bias else None

    def __call__(self, x: Array, residual: Array | None = None) -> Array:
        """activation(x·kernel + bias) + residual, where there are such."""
        return linear(
            x.astype(self.dtype),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            None if residual is None else residual.astype(self.dtype),
            activation=self.activation,
            implementation=self.implementation,
        )

    def through(self, x: Array) -> tuple[Array, Array]:
        """The layer's result and ``x``, for what else reads it: see ``s3net_kernels.linear``."""
        return linear(
            x.astype(self.dtype),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            activation=self.activation,
            through=True,
            implementation=self.implementation,
        )

    def normalised(self, norm: BatchNorm, x: Array, residual: Array | None = None) -> Array:
        """``norm(self(x, residual))`` in fewer passes: see ``s3net_kernels.linear_norm``.

        Raises:
          ValueError: the layer has an activation.
        """
        return linear_norm(
            *self._apply_and_normalise(norm, x, residual), implementation=self.implementation
        )

    def normalised_through(self, norm: BatchNorm, x: Array) -> tuple[Array, Array]:
        """:meth:`apply_and_normalise`, and ``x``, for what else reads it."""
        args = self._apply_and_normalise(norm, x, None)
        return linear_norm(*args, through=True, implementation=self.implementation)

    def _apply_and_normalise(self, norm: BatchNorm, x: Array, residual: Array | None):
        if self.activation is not None:
            raise ValueError(f"A layer with activation {self.activation!r} can't be normalised.")
        return (
            x.astype(self.dtype),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            None if residual is None else residual.astype(self.dtype),
            norm.scale[...],
            norm.bias[...],
        )


def apply_and_normalise(layer: nnx.Module, norm: BatchNorm, x: Array) -> Array:
    """``norm(layer(x))``, in fewer passes where the layer is one of ours."""
    if isinstance(layer, Pointwise) and layer.activation is None:
        return layer.normalised(norm, x)
    return norm(layer(x))  # pyright: ignore[reportCallIssue]


class Conv(nnx.Module):
    """k×k convolution, stride 1, zero "same" padding: a matrix product of patches.

    Args:
      inputs, outputs: numbers of channels.
      size: k, odd.
      bias: whether a bias is added.
      zero: start from zero kernel and bias (for predicted offsets) instead of fan-in uniform.
      dtype: of the activations; parameters are float32 (float64 with float64).
      implementation: of ``s3net_kernels.conv2d``; None takes the best.
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
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        inputs, outputs = check_size("inputs", inputs), check_size("outputs", outputs)
        size = check_size("size", size, odd=True)
        kind = get_param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.implementation = exclude_pallas(implementation)
        fan_in = inputs * size * size

        def start(shape: tuple[int, ...]) -> Array:
            return (
                jnp.zeros(shape, kind) if zero else draw_fan_in_uniform(rngs, shape, fan_in, kind)
            )

        self.kernel = nnx.Param(start((size, size, inputs, outputs)))
        self.bias = nnx.Param(start((outputs,))) if bias else None

    def __call__(self, x: Array) -> Array:
        return conv2d(
            x.astype(self.dtype),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            implementation=self.implementation,
        )


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
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels = check_size("channels", channels)
        size = check_size("size", size, odd=True)
        dilation = check_size("dilation", dilation)
        kind = get_param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.dilation = dilation
        self.implementation = implementation
        self.kernel = nnx.Param(
            draw_fan_in_uniform(rngs, (size, size, channels), size * size, kind)
        )
        self.bias = nnx.Param(draw_fan_in_uniform(rngs, (channels,), size * size, kind))

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
      implementation: of ``s3net_kernels.batch_norm``; None takes the best.
    """

    def __init__(self, channels: int, *, dtype="float32", implementation: str | None = None):
        check_common(dtype, implementation)
        channels = check_size("channels", channels)
        kind = get_param_dtype(dtype)
        self.dtype = jnp.dtype(dtype)
        self.implementation = exclude_pallas(implementation)
        self.scale = nnx.Param(jnp.ones((channels,), kind))
        self.bias = nnx.Param(jnp.zeros((channels,), kind))

    def __call__(self, x: Array) -> Array:
        return batch_norm(
            x.astype(self.dtype),
            self.scale[...],
            self.bias[...],
            epsilon=1e-5,
            implementation=self.implementation,
        )
