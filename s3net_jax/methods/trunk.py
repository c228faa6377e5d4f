"""The convolutional trunk that several methods share."""

from __future__ import annotations

import jax
from flax import nnx
from jax import Array

from s3net_jax.checks import check_size
from s3net_jax.config import Config
from s3net_jax.nn import BatchNorm, Conv
from s3net_jax.nn.options import check_common, check_rngs

__all__ = ["ConvTrunk", "count_values"]

# Feature maps (H, W, D) of each layer, the head's included, that a fit of one image holds at its
# peak in a worker process. Two images fitted one after the other at 256×256 with 3 layers reach
# 658 MiB (deepcluster-image), 676 (sgscn), 832 (slic-backprop) and 971 (dfc), of which 450 MiB are
# Python and JAX: at most 7 maps of each layer (benchmarks/results/memory-avx512-6-207.json). The
# rest is a margin, because the freed memory that a process keeps depends on how fast its calls
# follow each other.
_PEAK_MAPS = 14


def count_values(config: Config, shape: tuple[int, int]) -> int:
    """Estimate how many numbers a fit of an image (H, W) holds at its peak on a CPU."""
    return _PEAK_MAPS * (config.model.blocks + 1) * shape[0] * shape[1] * config.model.channels


class ConvTrunk(nnx.Module):
    """Compute features: (conv 3×3 → ReLU → BN) × M.

    The trunk of Kanezaki (Unsupervised Image Segmentation by Backpropagation, ICASSP 2018). The
    ReLU comes before the normalisation. Convolutions have biases and PyTorch's default
    initialisation.

    Args:
      inputs: number of channels of the image.
      channels: number of channels of every layer, D.
      blocks: number M of convolutions, at least 1.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.

    Raises:
      ValueError: a size below 1, or an option that does not exist.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        blocks: int,
        *,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels, inputs = check_size("channels", channels), check_size("inputs", inputs)
        blocks = check_size("blocks", blocks)
        common = {"dtype": dtype, "implementation": implementation}
        self.convolutions = nnx.List(
            Conv(channels if n else inputs, channels, 3, **common, rngs=rngs) for n in range(blocks)
        )
        self.norms = nnx.List(BatchNorm(channels, **common) for _ in range(blocks))

    def encode(self, images: Array) -> Array:
        """Compute features (N, H, W, D) of images (N, H, W, C) in [0, 1]."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            images = norm(jax.nn.relu(convolution(images)))
        return images
