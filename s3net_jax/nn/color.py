"""The colour branch, which combines pixel values with the score map."""

from __future__ import annotations

from typing import Literal, get_args

import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_choice, check_size
from s3net_jax.nn.layers import BatchNorm, Pointwise
from s3net_jax.nn.options import check_common, check_rngs

__all__ = ["ColorBranch"]

_Mode = Literal["pixels", "released"]


class ColorBranch(nnx.Module):
    """Combine a normalised 1×1 convolution of the score map with a linear map of the pixels.

    Args:
      channels: number of clusters K.
      in_channels: number of channels C of the images.
      mode: ``"pixels"`` adds both, so that pixel values enter alongside the score map, as the
        paper says. ``"released"`` is the released code's attention: its softmax runs over a batch
        axis of size one, so every channel is the same map times a factor (rank one).
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        channels: int,
        *,
        in_channels: int = 3,
        mode: _Mode = "pixels",
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels = check_size("channels", channels)
        in_channels = check_size("in_channels", in_channels)
        self.mode = check_choice("mode", mode, get_args(_Mode))
        common = {"dtype": dtype, "implementation": implementation}
        self.map = Pointwise(in_channels, channels, bias=False, **common, rngs=rngs)
        self.head = Pointwise(channels, channels, **common, rngs=rngs)
        self.norm = BatchNorm(channels, **common)

    def __call__(self, logits: Array, x: Array) -> Array:
        """Compute new logits (N, H, W, K) from logits (N, H, W, K) and images (N, H, W, C)."""
        pixels = self.map(x)
        if self.mode == "pixels":
            return self.head.normalised(self.norm, logits + pixels)
        score = jnp.sum(logits, -1, keepdims=True)
        return self.head.normalised(
            self.norm, (_compute_factor(logits) + _compute_factor(pixels)) * score
        )


def _compute_factor(a: Array) -> Array:
    """Divide each channel's sum over pixels by its norm: (N, H, W, K) to (N, 1, 1, K)."""
    norm = jnp.sqrt(jnp.sum(jnp.square(a), (1, 2), keepdims=True))
    return jnp.sum(a / jnp.maximum(norm, 1e-12), (1, 2), keepdims=True)
