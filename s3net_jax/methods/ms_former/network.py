"""The network of MS-Former: two scales, their fusion, and the comparison of shifted patches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_size
from s3net_jax.config import MSFormerConfig
from s3net_jax.methods.ms_former.blocks import Block
from s3net_jax.methods.ms_former.layers import StridedConv
from s3net_jax.nn.layers import BatchNorm, Conv, Pointwise, get_param_dtype
from s3net_jax.nn.options import check_common, check_rngs

__all__ = ["Branch", "Fusion", "MSFormer", "PatchAttention", "shuffle_pixels"]

PATCH = MSFormerConfig.patch  # 8×8 patches at the original's 257 pixels: shifted maps have 256

# The divisor of the patch similarities. The original has 64 patches and 100 channels, and divides
# by 8, so the number is not √C; whether it stands for √64 patches or is a constant shows only at
# other sizes, where we keep it.
_TEMPERATURE = 8.0


class Branch(nnx.Module):
    """Embed an image at one scale and apply transformer blocks, each with its normalisation.

    Args:
      inputs: number of image channels.
      channels: number of channels C.
      stride: 1 keeps the size of the image, 2 halves it (⌈H/2⌉ × ⌈W/2⌉).
      blocks: number of transformer blocks, at least 1.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        *,
        stride: int,
        blocks: int,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        norm = {"dtype": dtype, "implementation": implementation}
        common = {**norm, "rngs": rngs}
        self.embedding = (
            Conv(inputs, channels, 3, **common)
            if stride == 1
            else StridedConv(inputs, channels, **common)
        )
        self.embedding_norm = BatchNorm(channels, **norm)
        self.blocks = nnx.List(Block(channels, **common) for _ in range(blocks))
        self.block_norms = nnx.List(BatchNorm(channels, **norm) for _ in range(blocks))

    def __call__(self, images: Array) -> tuple[Array, Array]:
        """Map images (N, H, W, inputs) to features (N, h, w, C) and the last context (N, C, C)."""
        x = self.embedding_norm(self.embedding(images))
        context = None
        for block, norm in zip(self.blocks, self.block_norms, strict=True):
            x, context = block(x)
            x = norm(x)
        assert context is not None
        return x, context


class Fusion(nnx.Module):
    """Enlarge the features of the large scale, and mix them with those of the small one.

    A linear layer gives each large-scale pixel the features of 2×2 pixels, which are rearranged
    (pixel shuffle), cut to the size of the small scale and concatenated in front of its features;
    a second linear layer maps 2·C to C channels. Neither layer has a bias.

    Args:
      channels: number of channels C of both scales and of the result.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self, channels: int, *, dtype="float32", implementation: str | None = None, rngs: nnx.Rngs
    ):
        common = {"dtype": dtype, "implementation": implementation, "rngs": rngs}
        self.expand = Pointwise(channels, 4 * channels, bias=False, **common)
        self.mix = Pointwise(2 * channels, channels, bias=False, **common)

    def __call__(self, small: Array, large: Array) -> Array:
        """Fuse features of the small scale (N, H, W, C) and the large one (N, ⌈H/2⌉, ⌈W/2⌉, C)."""
        enlarged = shuffle_pixels(self.expand(large))
        enlarged = enlarged[:, : small.shape[1], : small.shape[2]]
        return self.mix(jnp.concatenate([enlarged, small], axis=-1))


def shuffle_pixels(x: Array) -> Array:
    """Rearrange (N, H, W, 4·C) to (N, 2H, 2W, C).

    Channel (2r + s)·C + c of pixel (i, j) becomes channel c of pixel (2i + r, 2j + s).
    """
    n, height, width, channels = x.shape
    x = x.reshape(n, height, width, 2, 2, channels // 4)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * height, 2 * width, channels // 4)


class PatchAttention(nnx.Module):
    """Compare the patches of a map with those of the map one pixel further up and left.

    The queries are the map without its first row and column, the keys without its last ones. Both
    are cut into patches of 32×32 pixels, and one linear layer, shared by both, maps the
    32·32·C numbers of a patch (in the order row, column, channel) to C. The result is
    A = softmax(Q·Kᵀ/8) over the keys.

    Args:
      channels: number of channels C.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self, channels: int, *, dtype="float32", implementation: str | None = None, rngs: nnx.Rngs
    ):
        common = {"dtype": dtype, "implementation": implementation, "rngs": rngs}
        self.project = Pointwise(PATCH * PATCH * channels, channels, **common)
        self.wide = get_param_dtype(dtype)

    def __call__(self, x: Array) -> Array:
        """Map (N, 32m + 1, 32n + 1, C) to the attention of patches A (N, m·n, m·n)."""
        queries, keys = _cut_patches(x[:, 1:, 1:]), _cut_patches(x[:, :-1, :-1])
        # One product for both reads the layer's large matrix (41 MB at C = 100) once.
        both = self.project(jnp.concatenate([queries, keys], axis=1)).astype(self.wide)
        queries, keys = both[:, : queries.shape[1]], both[:, queries.shape[1] :]
        similarity = jnp.einsum("nqc,nkc->nqk", queries, keys) / _TEMPERATURE
        return jax.nn.softmax(similarity, axis=-1)


def _cut_patches(x: Array) -> Array:
    """Cut (N, 32m, 32n, C) into patches: (N, m·n, 32·32·C), patches and pixels row by row."""
    n, height, width, channels = x.shape
    x = x.reshape(n, height // PATCH, PATCH, width // PATCH, PATCH, channels)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(n, -1, PATCH * PATCH * channels)


class MSFormer(nnx.Module):
    """Map images to logits over K clusters, by attention at two scales.

    Source: Karimijafarbigloo et al., MS-Former: Multi-Scale Self-Guided Transformer for Medical
    Image Segmentation, MIDL 2023. The features of both scales have K channels. With K = 100 and
    two blocks at each scale the network has 10.81 million parameters, 10.24 million of them in the
    projection of the patches.

    Args:
      channels: number of clusters and of feature channels, K.
      inputs: number of image channels.
      blocks: number of transformer blocks at each scale, 2 in the original.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        channels: int,
        *,
        inputs: int = 3,
        blocks: int = 2,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels, inputs = check_size("channels", channels), check_size("inputs", inputs)
        blocks = check_size("blocks", blocks)
        norm = {"dtype": dtype, "implementation": implementation}
        common = {**norm, "rngs": rngs}
        self.small = Branch(inputs, channels, stride=1, blocks=blocks, **common)
        self.large = Branch(inputs, channels, stride=2, blocks=blocks, **common)
        self.fusion = Fusion(channels, **common)
        self.norm = BatchNorm(channels, **norm)
        self.patches = PatchAttention(channels, **common)

    def __call__(self, images: Array) -> tuple[Array, Array, Array]:
        """Compute the logits, and the contexts of both scales.

        Args:
          images: images (N, H, W, inputs) in [0, 1].

        Returns:
          Logits (N, H, W, K) without normalisation, and the contexts of the last blocks of the
          small and the large scale, (N, K, K) each.
        """
        small, small_context = self.small(images)
        large, large_context = self.large(images)
        return self.fusion(small, large), small_context, large_context

    def compare_patches(self, logits: Array) -> Array:
        """Compute the attention of shifted patches: (N, 32m + 1, 32n + 1, K) to (N, m·n, m·n)."""
        return self.patches(self.norm(logits))
