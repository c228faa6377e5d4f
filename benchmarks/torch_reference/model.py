"""S3-Net as an ``nn.Module`` with the parameter names of the released weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.torch_reference.deform import DeformConv
from benchmarks.torch_reference.depthwise import DepthwiseConv2d
from benchmarks.torch_reference.layout import to_format
from benchmarks.torch_reference.options import Options
from s3net_jax.config import ModelConfig

__all__ = ["AttentionBlock", "InceptionLKA", "S3Net"]


class InceptionLKA(nn.Module):
    """I-LKA: x ⊗ Conv1×1(concat_r DW_r(DW_local(x))); (N, C, H, W) to the same shape.

    With ``inception="local"`` each branch has its own local convolution.
    """

    def __init__(self, config: ModelConfig, options: Options):
        super().__init__()
        c = config.channels

        def local(size: int) -> nn.Module:
            return DepthwiseConv2d(c, size, method=options.depthwise)

        own = config.inception == "local"
        sizes = config.local_kernels
        self.conv0 = nn.ModuleList(map(local, sizes)) if own else local(config.local_kernel)
        self.spatial_convs = nn.ModuleList(
            DepthwiseConv2d(c, size, dilation, options.depthwise)
            for size, dilation in zip(config.kernel_sizes, config.dilations, strict=True)
        )
        self.conv1 = nn.Conv2d(c * len(config.kernel_sizes), c, 1)

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.conv0, nn.ModuleList):
            inputs = [local(x) for local in self.conv0]
        else:
            inputs = [self.conv0(x)] * len(self.spatial_convs)
        every = zip(self.spatial_convs, inputs, strict=True)
        return x * self.conv1(torch.cat([branch(local) for branch, local in every], 1))


class AttentionBlock(nn.Module):
    """1×1 projection → GELU → I-LKA → 1×1 projection, with a residual path."""

    def __init__(self, config: ModelConfig, options: Options):
        super().__init__()
        self.skip_first = config.residual == "before_projection"
        self.proj_1x1_1 = nn.Conv2d(config.channels, config.channels, 1)
        self.spatial_gating = InceptionLKA(config, options)
        self.proj_1x1_2 = nn.Conv2d(config.channels, config.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        u = self.spatial_gating(F.gelu(self.proj_1x1_1(x)))
        return self.proj_1x1_2(u + x) if self.skip_first else self.proj_1x1_2(u) + x


class S3Net(nn.Module):
    """Stem, attention blocks, deformable layer, head, and the auxiliary head.

    Args:
      config: network configuration; ``dtype`` and ``implementation`` are ignored.
      shape: image size (H, W); only used by ``deform="free"``.
      options: formulations to use; None for the fastest.
    """

    def __init__(
        self,
        config: ModelConfig,
        shape: tuple[int, int] | None = None,
        options: Options | None = None,
    ):
        super().__init__()
        options = options or Options()
        k = config.channels
        self.color = config.color
        self.format = torch.channels_last if options.channels_last else torch.contiguous_format

        def block() -> nn.Module:
            if config.block == "conv":
                return nn.Conv2d(k, k, 3, padding=1)
            return AttentionBlock(config, options)

        self.conv1 = nn.Conv2d(3, k, 3, padding=1)
        self.bn1 = _build_norm(k)
        self.conv2 = nn.ModuleList(block() for _ in range(config.blocks))
        self.bn2 = nn.ModuleList(_build_norm(k) for _ in range(config.blocks))
        self.convdeform = self.bn3 = None
        size = config.deform_kernel
        if config.deform == "conv":
            self.convdeform = nn.Conv2d(k, k, size, padding=size // 2, bias=False)
        elif config.deform != "none":
            self.convdeform = DeformConv(
                k,
                size,
                offsets=config.deform,
                init=config.deform_init,
                shape=shape,
                method=options.deform,
            )
        if self.convdeform is not None:
            self.bn3 = _build_norm(k)
        self.conv3 = nn.Conv2d(k, k, 1)
        self.bn4 = _build_norm(k)
        self.conv_aux = nn.Conv2d(k, k, 1)
        self.bn_aux = _build_norm(k)
        if config.color != "none":
            self.map = nn.Linear(3, k, bias=False)
            self.cf = nn.Conv2d(k, k, 1)
            self.bf = _build_norm(k)
        self.to(memory_format=self.format)  # pyright: ignore[reportCallIssue]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits S and auxiliary logits, (N, K, H, W), of images (N, 3, H, W) in [0, 1]."""
        features, _ = self.encode(x)
        return self.decode(features, x), self.auxiliary_logits(features)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features before the deformable layer, and the input of the last block."""
        x = self.bn1(self.conv1(to_format(x, self.format)))
        for block, norm in list(zip(self.conv2, self.bn2, strict=True))[:-1]:
            x = norm(block(x))
        return self.last_block(x), x

    def last_block(self, features: Tensor) -> Tensor:
        """Apply the last block and its normalisation."""
        features = to_format(features, self.format)
        return self.bn2[-1](self.conv2[-1](features))

    def auxiliary_logits(self, features: Tensor) -> Tensor:
        """Apply the auxiliary head to the features of :meth:`encode`."""
        return self.bn_aux(self.conv_aux(features))

    def decode(self, features: Tensor, x: Tensor) -> Tensor:
        """Compute logits S from features and image: deformable layer, head, colour branch."""
        if self.convdeform is not None and self.bn3 is not None:
            features = self.bn3(to_format(self.convdeform(features), self.format))
        logits = self.bn4(self.conv3(features))
        return logits if self.color == "none" else self._color(logits, x)

    def _color(self, logits: Tensor, x: Tensor) -> Tensor:
        pixels = self.map(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.color == "pixels":
            return self.bf(self.cf(logits + pixels))

        # As in the released code: a softmax over a batch axis of size one is 1 everywhere, so all
        # channels get the same map, each times its own factor.
        def factor(a: Tensor) -> Tensor:
            return F.normalize(a.flatten(2), dim=2, eps=1e-12).sum(2)[..., None, None]

        score = logits.sum(1, keepdim=True)
        return self.bf(self.cf((factor(logits) + factor(pixels)) * score))


def _build_norm(channels: int) -> nn.BatchNorm2d:
    """Build a batch normalisation that always uses the statistics of its input."""
    return nn.BatchNorm2d(channels, eps=1e-5, track_running_stats=False)
