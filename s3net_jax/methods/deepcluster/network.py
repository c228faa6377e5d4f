"""The network of DeepCluster for one image: two convolutions, and a linear head."""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array

from s3net_jax.nn.layers import BatchNorm, Conv, Pointwise

__all__ = ["DeepClusterNet"]


class DeepClusterNet(nnx.Module):
    """Compute features of every pixel by conv 3×3 → ReLU → BN, twice, and logits by a 1×1 head.

    A data set's images are normalised separately, as in the fit of one image, so that the logits of
    an image do not depend on what else is in its batch.

    Args:
      inputs: number of channels of the images, C.
      channels: number of features, D.
      clusters: number of logits, K.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of the operators; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        clusters: int,
        *,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        common = {"dtype": dtype, "implementation": implementation}
        self.conv1 = Conv(inputs, channels, 3, **common, rngs=rngs)
        self.norm1 = BatchNorm(channels, **common)
        self.conv2 = Conv(channels, channels, 3, **common, rngs=rngs)
        self.norm2 = BatchNorm(channels, **common)
        self.head = Pointwise(channels, clusters, **common, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        """Compute logits (N, H, W, K) of images (N, H, W, C) in [0, 1]."""
        return self.head(self.encode(images))

    def encode(self, images: Array) -> Array:
        """Compute features (N, H, W, D) of images (N, H, W, C) in [0, 1]."""
        if images.shape[0] == 1:
            return self._encode(images)
        return jax.vmap(lambda image: self._encode(image[None])[0])(images)

    def _encode(self, images: Array) -> Array:
        features = self.norm1(jax.nn.relu(self.conv1(images)))
        return self.norm2(jax.nn.relu(self.conv2(features)))
