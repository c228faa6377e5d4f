"""S3-Net: stem, attention blocks, deformable layer, head and auxiliary head."""

from __future__ import annotations

from flax import nnx
from jax import Array

from s3net_jax.checks import check_size
from s3net_jax.config import ModelConfig
from s3net_jax.nn.attention import AttentionBlock
from s3net_jax.nn.color import ColorBranch
from s3net_jax.nn.deform import DeformConv
from s3net_jax.nn.layers import BatchNorm, Conv, Pointwise, apply_and_normalise
from s3net_jax.nn.options import check_rngs, get_implementation

__all__ = ["S3Net"]


class S3Net(nnx.Module):
    """Map an image to logits over K clusters and auxiliary logits (section 3.1).

    Args:
      config: sizes and variants; see :class:`s3net_jax.config.ModelConfig`.
      shape: image shape (H, W); required with ``config.deform == "free"``, ignored otherwise.
      in_channels: number of channels C of the images.
      rngs: NNX random streams.

    Attributes of interest: ``stem``, ``blocks``, ``deform``, ``head``, ``auxiliary`` and the
    normalisations ``*_norm``. All statistics are the input's own (see :class:`BatchNorm`).
    """

    def __init__(
        self,
        config: ModelConfig,
        shape: tuple[int, int] | None = None,
        *,
        in_channels: int = 3,
        rngs: nnx.Rngs,
    ):
        if not isinstance(config, ModelConfig):
            raise TypeError(
                f"config is a {type(config).__name__}, where a ModelConfig is expected, such as "
                "s3net_jax.preset('paper').model."
            )
        check_rngs(rngs)
        in_channels = check_size("in_channels", in_channels)
        c, k = config, config.channels
        common = {"dtype": c.dtype, "implementation": get_implementation(c)}
        self.config = c

        def block() -> nnx.Module:
            if c.block == "conv":
                return Conv(k, k, 3, **common, rngs=rngs)
            return AttentionBlock(
                k,
                residual=c.residual,
                local_kernel=c.local_kernels if c.inception == "local" else c.local_kernel,
                kernel_sizes=c.kernel_sizes,
                dilations=c.dilations,
                **common,
                rngs=rngs,
            )

        def norm() -> BatchNorm:
            return BatchNorm(k, **common)

        self.stem = Conv(in_channels, k, 3, **common, rngs=rngs)
        self.stem_norm = norm()
        self.blocks = nnx.List(block() for _ in range(c.blocks))
        self.block_norms = nnx.List(norm() for _ in range(c.blocks))
        # NNX fixes an attribute's kind at its first assignment, so assign each exactly once.
        deform = None
        if c.deform == "conv":
            deform = Conv(k, k, c.deform_kernel, bias=False, **common, rngs=rngs)
        elif c.deform != "none":
            deform = DeformConv(
                k,
                size=c.deform_kernel,
                offsets=c.deform,
                kernel_init=c.deform_init,
                shape=shape if c.deform == "free" else None,
                **common,
                rngs=rngs,
            )
        self.deform = deform
        self.deform_norm = None if deform is None else norm()
        self.head = Pointwise(k, k, **common, rngs=rngs)
        self.head_norm = norm()
        self.auxiliary = Pointwise(k, k, **common, rngs=rngs)
        self.auxiliary_norm = norm()
        color = None
        if c.color != "none":
            color = ColorBranch(k, in_channels=in_channels, mode=c.color, **common, rngs=rngs)
        self.color = color

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Compute logits and auxiliary logits (N, H, W, K) of images (N, H, W, C) in [0, 1]."""
        features, _ = self.encode(x)
        return self.decode(features, x), self.auxiliary_logits(features)

    def encode(self, x: Array) -> tuple[Array, Array]:
        """Compute the inputs of the deformable layer and of the last attention block.

        Args:
          x: images (N, H, W, C) in [0, 1].

        Returns:
          Features before the deformable layer, and the features that enter the last block; both
          (N, H, W, K).
        """
        x = self.stem_norm(self.stem(x))
        for i in range(len(self.blocks) - 1):
            x = self._block(i, x)
        return self.last_block(x), x

    def last_block(self, features: Array) -> Array:
        """Apply the last attention block and its normalisation: (N, H, W, K) to the same shape."""
        return self._block(len(self.blocks) - 1, features)

    def _block(self, i: int, x: Array) -> Array:
        """Apply block ``i`` and its normalisation."""
        block, norm = self.blocks[i], self.block_norms[i]
        if isinstance(block, AttentionBlock):
            return block(x, norm)
        return apply_and_normalise(block, norm, x)

    def auxiliary_logits(self, features: Array) -> Array:
        """Apply the auxiliary head to features of :meth:`encode`: (N, H, W, K) to the same."""
        return apply_and_normalise(self.auxiliary, self.auxiliary_norm, features)

    def auxiliary_through(self, features: Array) -> tuple[Array, Array]:
        """Return :meth:`auxiliary_logits`, and the features for their other readers."""
        return self.auxiliary.normalised_through(self.auxiliary_norm, features)

    def decode(self, features: Array, x: Array) -> Array:
        """Apply deformable layer, head and colour branch: logits S (N, H, W, K).

        Args:
          features: features (N, H, W, K) from :meth:`encode`.
          x: image (N, H, W, C) for the colour branch.
        """
        if self.deform is not None and self.deform_norm is not None:
            features = self.deform_norm(self.deform(features))
        logits = apply_and_normalise(self.head, self.head_norm, features)
        return logits if self.color is None else self.color(logits, x)
