"""The layers of S3-Net, built from matrix products and the operators of ``s3net_kernels``.

No layer uses ``lax.conv``. With weights that vary over a vmapped batch of images it becomes a
grouped convolution, which is slow on every platform; a matrix product becomes a batched product.
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
    """Return the dtype of parameters: float32, or float64 if the activations are float64.

    Raises:
      ConfigError: float64 without 64-bit JAX, which would silently compute in float32.
    """
    if jnp.dtype(dtype) != jnp.float64:
        return jnp.dtype(jnp.float32)
    if jax.dtypes.canonicalize_dtype(jnp.float64) != jnp.float64:
        raise ConfigError(
            "model.dtype=float64 needs JAX in 64-bit mode: set the environment variable "
            "JAX_ENABLE_X64=1, or jax_enable_x64 in jax.config."
        )
    return jnp.dtype(jnp.float64)


def exclude_pallas(implementation: str | None) -> str | None:
    """Replace ``"pallas"`` by None for operators without Pallas kernels for every size.

    None selects the best implementation that can serve the call, which on a GPU is ``"pallas"``
    wherever possible.
    """
    return None if implementation == "pallas" else implementation


class Pointwise(nnx.Module):
    """Apply a 1×1 convolution (..., Cin) → (..., Cout): a matrix product with a fused epilogue.

    Args:
      inputs: number of input channels.
      outputs: number of output channels.
      bias: whether to add a bias.
      activation: None, or ``"gelu"`` for exact GELU after the bias.
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
        """Compute activation(x·kernel + bias) + residual, without the parts that are not set."""
        return linear(
            x.astype(self.dtype),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            None if residual is None else residual.astype(self.dtype),
            activation=self.activation,
            implementation=self.implementation,
        )

    def through(self, x: Array) -> tuple[Array, Array]:
        """Return the layer's result and ``x`` for its other readers; see ``s3net_kernels.linear``.

        A reader that takes the returned ``x`` has its gradient added in place.
        """
        return linear(
            x.astype(self.dtype),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            activation=self.activation,
            through=True,
            implementation=self.implementation,
        )

    def normalised(self, norm: BatchNorm, x: Array, residual: Array | None = None) -> Array:
        """Compute ``norm(self(x, residual))`` in fewer passes; see ``s3net_kernels.linear_norm``.

        Raises:
          ValueError: the layer has an activation.
        """
        return linear_norm(
            *self._apply_and_normalise(norm, x, residual), implementation=self.implementation
        )

    def normalised_through(self, norm: BatchNorm, x: Array) -> tuple[Array, Array]:
        """Return :meth:`normalised` of ``x``, and ``x`` for its other readers."""
        args = self._apply_and_normalise(norm, x, None)
        return linear_norm(*args, through=True, implementation=self.implementation)

    def _apply_and_normalise(self, norm: BatchNorm, x: Array, residual: Array | None):
        if self.activation is not None:
            raise ValueError(
                f"A layer with activation {self.activation!r} cannot be normalised: "
                "use activation=None."
            )
        return (
            x.astype(self.dtype),
            self.kernel[...],
            None if self.bias is None else self.bias[...],
            None if residual is None else residual.astype(self.dtype),
            norm.scale[...],
            norm.bias[...],
        )


def apply_and_normalise(layer: nnx.Module, norm: BatchNorm, x: Array) -> Array:
    """Compute ``norm(layer(x))``, in fewer passes if ``layer`` is a :class:`Pointwise`."""
    if isinstance(layer, Pointwise) and layer.activation is None:
        return layer.normalised(norm, x)
    return norm(layer(x))  # pyright: ignore[reportCallIssue]


class Conv(nnx.Module):
    """Apply a k×k convolution, stride 1, zero "same" padding: a matrix product of patches.

    Args:
      inputs: number of input channels.
      outputs: number of output channels.
      size: odd kernel size k.
      bias: whether to add a bias.
      zero: whether to start with zero kernel and bias (for predicted offsets) instead of fan-in
        uniform.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of ``s3net_kernels.conv2d``; None selects the best available
        one.
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
    """Apply a dilated depthwise k×k convolution with bias, zero "same" padding.

    Args:
      channels: number of channels C; input and output are (N, H, W, C).
      size: odd kernel size k.
      dilation: distance in pixels between taps, at least 1.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of ``s3net_kernels.depthwise_conv2d``; None selects the best
        available one.
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
    """Normalise with the input's own statistics, in training and in prediction.

    y = (x − mean) / √(var + 1e-5) · scale + bias over all axes but the last, with the biased
    variance. S3-Net fits one image and uses that image's statistics for its final prediction
    too, so there are no running averages. Statistics are computed in float32, or in float64 if
    dtype is float64.

    Args:
      channels: number of channels C; input and output are (..., C).
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of ``s3net_kernels.batch_norm``; None selects the best
        available one.
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
