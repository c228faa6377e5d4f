"""The transformer block of MS-Former: efficient attention, then a mix-skip feed-forward network."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_size
from s3net_jax.methods.ms_former.layers import LayerNorm
from s3net_jax.nn.layers import DepthwiseConv, Pointwise, get_param_dtype
from s3net_jax.nn.options import check_common, check_rngs

__all__ = ["Block", "EfficientAttention", "MixFFN"]

_EXPANSION = 4  # hidden channels of the feed-forward network for each channel, as in the original


class EfficientAttention(nnx.Module):
    """Apply efficient attention with one head, at a cost linear in the number of pixels.

    G = softmax_pixels(K)ᵀ · V and y = reproject(softmax_channels(Q) · G), where K, V and Q are
    1×1 convolutions of the input: every channel of the keys sums to 1 over the pixels of an
    image, every pixel of the queries to 1 over the channels. There is no scaling factor. Source:
    Shen et al., Efficient Attention: Attention with Linear Complexities, WACV 2021, as used in
    MS-Former.

    Args:
      channels: number of channels C; input and output are (N, H, W, C).
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self, channels: int, *, dtype="float32", implementation: str | None = None, rngs: nnx.Rngs
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels = check_size("channels", channels)
        common = {"dtype": dtype, "implementation": implementation, "rngs": rngs}
        self.keys = Pointwise(channels, channels, **common)
        self.queries = Pointwise(channels, channels, **common)
        self.values = Pointwise(channels, channels, **common)
        self.reprojection = Pointwise(channels, channels, **common)
        self.wide = get_param_dtype(dtype)

    def __call__(self, x: Array, residual: Array | None = None) -> tuple[Array, Array]:
        """Attend over the pixels of each image.

        Args:
          x: features (N, H, W, C).
          residual: array of the same shape to add to the result, or None.

        Returns:
          Result (N, H, W, C), and the context G (N, C, C), key channel × value channel, in the
          parameters' dtype.
        """
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        # bfloat16 has 8 significant bits, and a softmax over 66,049 pixels sums as many numbers.
        keys = jax.nn.softmax(self.keys(tokens).astype(self.wide), axis=1)
        queries = jax.nn.softmax(self.queries(tokens).astype(self.wide), axis=2)
        values = self.values(tokens)
        context = jnp.einsum("npk,npv->nkv", keys, values.astype(self.wide))
        y = (queries @ context).reshape(x.shape)
        return self.reprojection(y, residual=residual), context


class MixFFN(nnx.Module):
    """Apply a mix-skip feed-forward network with a depthwise convolution and an inner skip.

    y = linear(gelu(LN(DW3×3(h) + h))) with h = linear(x) of 4·C channels, zero padding and the
    exact GELU. Source: Huang et al., MISSFormer, IEEE TMI 2022, as used in MS-Former.

    Args:
      channels: number of channels C; input and output are (N, H, W, C).
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self, channels: int, *, dtype="float32", implementation: str | None = None, rngs: nnx.Rngs
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels = check_size("channels", channels)
        common = {"dtype": dtype, "implementation": implementation, "rngs": rngs}
        hidden = _EXPANSION * channels
        self.expand = Pointwise(channels, hidden, **common)
        self.depthwise = DepthwiseConv(hidden, 3, **common)
        self.norm = LayerNorm(hidden, dtype=dtype)
        self.reduce = Pointwise(hidden, channels, **common)

    def __call__(self, x: Array, residual: Array | None = None) -> Array:
        """Apply the network to x (N, H, W, C) and add ``residual``, of the same shape, if given."""
        h = self.expand(x)
        h = self.norm(self.depthwise(h) + h)
        return self.reduce(jax.nn.gelu(h, approximate=False), residual=residual)


class Block(nnx.Module):
    """Apply x₁ = x + Att(LN(x)), then x₂ = x₁ + FFN(LN(x₁)).

    Args:
      channels: number of channels C; input and output are (N, H, W, C).
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self, channels: int, *, dtype="float32", implementation: str | None = None, rngs: nnx.Rngs
    ):
        common = {"dtype": dtype, "implementation": implementation, "rngs": rngs}
        self.attention_norm = LayerNorm(channels, dtype=dtype)
        self.attention = EfficientAttention(channels, **common)
        self.ffn_norm = LayerNorm(channels, dtype=dtype)
        self.ffn = MixFFN(channels, **common)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Map features (N, H, W, C) to the same shape, and to the attention's context G."""
        x, context = self.attention(self.attention_norm(x), residual=x)
        return self.ffn(self.ffn_norm(x), residual=x), context
