"""The network of DeepCluster for pixels: convolutions, and a linear head."""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array

from s3net_jax.methods.trunk import ConvTrunk
from s3net_jax.nn import Pointwise

__all__ = ["DeepClusterNet"]


class DeepClusterNet(ConvTrunk):
    """Compute features of every pixel by blocks of conv 3×3 → ReLU → BN, and logits by a 1×1 head.

    Several images are normalised separately, so that the logits of an image are those that it has
    in a separate batch.

    Args:
      inputs: number of channels of the images, C.
      channels: number of features, D.
      blocks: number of blocks, at least 1.
      clusters: number of logits, K.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of the operators; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        blocks: int,
        clusters: int,
        *,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        common = {"dtype": dtype, "implementation": implementation}
        super().__init__(inputs, channels, blocks, **common, rngs=rngs)
        self.head = Pointwise(channels, clusters, **common, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        """Compute logits (N, H, W, K) of images (N, H, W, C) in [0, 1]."""
        return self.head(self.encode(images))

    def encode(self, images: Array) -> Array:
        """Compute features (N, H, W, D) of images (N, H, W, C) in [0, 1]."""
        if images.shape[0] == 1:
            return super().encode(images)
        return jax.vmap(lambda image: super(DeepClusterNet, self).encode(image[None])[0])(images)
