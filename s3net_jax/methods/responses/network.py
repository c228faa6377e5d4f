"""The network of the three methods: 3×3 convolutions with ReLU, and a 1×1 convolution."""

from __future__ import annotations

from flax import nnx
from jax import Array

from s3net_jax.config import Config
from s3net_jax.methods.trunk import ConvTrunk
from s3net_jax.nn import BatchNorm, Pointwise
from s3net_jax.nn.options import get_implementation

__all__ = ["ResponseNet", "build_network", "compute_responses"]


class ResponseNet(ConvTrunk):
    """Map an image to responses r: (conv 3×3 → ReLU → BN) × M → conv 1×1 → BN.

    The network of Kanezaki (Unsupervised Image Segmentation by Backpropagation, ICASSP 2018), which
    Kim, Kanezaki and Tanaka (IEEE Transactions on Image Processing 29, 2020) and SGSCN (Ahn, Feng
    and Kim, MICCAI 2021) keep. The ReLU comes before the normalisation. Each response starts with
    mean 0 and variance 1 over the pixels. Convolutions have biases and PyTorch's default
    initialisation; 100 channels and two blocks give 103,600 parameters.

    Args:
      channels: number of channels of every layer, which is the maximum number of labels K.
      blocks: number M of 3×3 convolutions, at least 1.
      inputs: number of channels of the image.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.

    Raises:
      ValueError: a size below 1, or an option that does not exist.
    """

    def __init__(
        self,
        channels: int = 100,
        blocks: int = 2,
        inputs: int = 3,
        *,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        common = {"dtype": dtype, "implementation": implementation}
        super().__init__(inputs, channels, blocks, **common, rngs=rngs)
        self.head = Pointwise(channels, channels, **common, rngs=rngs)
        self.head_norm = BatchNorm(channels, **common)

    def __call__(self, x: Array) -> Array:
        """Compute the responses (N, H, W, K) of images (N, H, W, C) in [0, 1]."""
        return self.head.normalised(self.head_norm, self.encode(x))


def build_network(config: Config, shape: tuple[int, int, int], rngs: nnx.Rngs) -> ResponseNet:
    """Build the network for images of the given shape (H, W, C)."""
    model = config.model
    return ResponseNet(
        model.channels,
        model.blocks,
        shape[2],
        dtype=model.dtype,
        implementation=get_implementation(model),
        rngs=rngs,
    )


def compute_responses(model: ResponseNet, images: Array, config: Config) -> Array:
    """Compute the responses (N, H, W, K), which are the logits, of images (N, H, W, C)."""
    del config
    return model(images)
