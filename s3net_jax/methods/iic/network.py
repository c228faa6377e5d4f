"""The network of IIC's segmentation: a short VGG trunk, and two heads for clusters.

Ji, Vedaldi and Henriques, ICCV 2019, section 4.3 and their configuration "10a".
"""

from __future__ import annotations

import itertools
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.checks import check_size
from s3net_jax.nn import BatchNorm, Conv, Pointwise
from s3net_jax.nn.draws import draw_kaiming_normal
from s3net_jax.nn.options import check_rngs

__all__ = ["MIN_SIDE", "Head", "IICNet", "convolve_dilated", "pool", "upsample"]

Head = Literal["a", "b"]

# Channels of the six convolutions as multiples of the first one's.
_WIDTHS = (1, 2, 4, 4, 8, 8)
_POOLED = 2
"""Number of convolutions before the max pool."""
_DILATED = 4
"""Number of convolutions before the two dilated ones."""

MIN_SIDE = 10
"""Smallest side of an image: half of it, less the 4 pixels that the dilated layers remove, is 1."""


class IICNet(nnx.Module):
    """Map images to the probabilities of clusters, by one of two heads.

    Six 3×3 convolutions without bias, each followed by batch normalisation and ReLU; a max pool
    after the second halves the map. The last two have dilation 2 but padding 1, so each removes a
    pixel on every side. A head is a 1×1 convolution without bias but with padding 1, which adds a
    border of equal probabilities; softmax; and bilinear upsampling to the size of the image.

    Args:
      inputs: number of channels of the images.
      width: number of channels of the first convolution (64 in the paper); the others have 2, 4,
        4, 8 and 8 times as many.
      overclusters: number of clusters of head A, which only trains the trunk.
      clusters: number of clusters of head B, which labels the pixels.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: implementation of the operators; None selects the best available ones.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        overclusters: int,
        clusters: int,
        *,
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_rngs(rngs)
        width = check_size("width", width)
        common = {"dtype": dtype, "implementation": implementation}

        def make_conv(inputs: int, outputs: int) -> Conv:
            conv = Conv(inputs, outputs, 3, bias=False, zero=True, **common, rngs=rngs)
            _draw_kernel(conv, inputs * 9, rngs)
            return conv

        def make_head(clusters: int) -> Pointwise:
            head = Pointwise(inputs=widths[-1], outputs=clusters, bias=False, **common, rngs=rngs)
            _draw_kernel(head, widths[-1], rngs)
            return head

        widths = [inputs, *(width * multiple for multiple in _WIDTHS)]
        self.convs = nnx.List(make_conv(*pair) for pair in itertools.pairwise(widths))
        self.norms = nnx.List(BatchNorm(outputs, **common) for outputs in widths[1:])
        self.head_a = make_head(overclusters)
        self.head_b = make_head(clusters)

    def __call__(self, images: Array, head: Head = "b") -> Array:
        """Compute probabilities (N, H, W, K) of images (N, H, W, C) in [0, 1].

        The result has the dtype of the activations, but at least float32.
        """
        return self.classify(self.encode(images), head, (images.shape[1], images.shape[2]))

    def encode(self, images: Array) -> Array:
        """Compute features (N, H//2 − 4, W//2 − 4, 8·width) of images (N, H, W, C)."""
        x = images
        for index, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if index == _POOLED:
                x = pool(x)
            x = convolve_dilated(conv, x) if index >= _DILATED else conv(x)
            x = jax.nn.relu(norm(x))
        return x

    def classify(self, features: Array, head: Head, shape: tuple[int, int]) -> Array:
        """Compute probabilities (N, H, W, K) of features, for an image of ``shape`` (H, W)."""
        logits = (self.head_a if head == "a" else self.head_b)(features)
        # Without a bias, the padded border has logits of zero.
        logits = jnp.pad(logits, ((0, 0), (1, 1), (1, 1), (0, 0)))
        kind = jnp.promote_types(logits.dtype, jnp.float32)
        return upsample(jax.nn.softmax(logits.astype(kind)), shape)


def _draw_kernel(layer: Conv | Pointwise, fan_in: int, rngs: nnx.Rngs) -> None:
    kernel = layer.kernel[...]
    layer.kernel[...] = draw_kaiming_normal(rngs, kernel.shape, fan_in, kernel.dtype)


def pool(x: Array) -> Array:
    """Take the maximum of every 2×2 pixels, (N, H, W, C) → (N, H//2, W//2, C).

    The last row or column of an odd side is dropped.
    """
    images, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(images, height // 2, 2, width // 2, 2, channels).max((2, 4))


def convolve_dilated(conv: Conv, x: Array) -> Array:
    """Apply a 3×3 layer with dilation 2 and padding 1: (N, H, W, C) → (N, H − 2, W − 2, C').

    y[h, w] = Σ_ij x[h + 2i − 1, w + 2j − 1] · kernel[i, j] with i, j in 0..2. Taps that far apart
    meet only pixels of one parity of rows and of columns, so the four parities are separate images
    to which the layer applies without dilation.
    """
    images, height, width, channels = x.shape
    # Padding with zeros at the end makes both sides even; "same" padding reads zeros there anyway.
    x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)))
    rows, columns = x.shape[1] // 2, x.shape[2] // 2
    x = x.reshape(images, rows, 2, columns, 2, channels).transpose(0, 2, 4, 1, 3, 5)
    y = conv(x.reshape(images * 4, rows, columns, channels))
    y = y.reshape(images, 2, 2, rows, columns, -1).transpose(0, 3, 1, 4, 2, 5)
    y = y.reshape(images, rows * 2, columns * 2, -1)
    # "Same" padding of a dilated kernel is 2; padding 1 gives one pixel less on every side.
    return y[:, 1 : height - 1, 1 : width - 1]


def upsample(maps: Array, shape: tuple[int, int]) -> Array:
    """Interpolate maps (N, h, w, K) bilinearly to (N, *shape, K), with half-pixel centres.

    Sample y reads position (y + ½)·h/H − ½, clamped to the map, as PyTorch's
    ``align_corners=False``.
    """
    return jax.image.resize(
        maps, (maps.shape[0], *shape, maps.shape[3]), "bilinear", antialias=False
    )
