"""SGSCN and DFC in PyTorch: the network, the terms of the loss, and the objective of a step.

Written from the papers (Kim, Kanezaki and Tanaka, IEEE TIP 29, 2020; Ahn, Feng and Kim, MICCAI
2021) and from a description of what their code computes.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.torch_reference.layout import to_format
from benchmarks.torch_reference.options import Options
from benchmarks.torch_reference.trainer import BaseTrainer

__all__ = [
    "ResponseNet",
    "ResponseTrainer",
    "center_loss",
    "continuity_loss",
    "response_objective",
]

Center = Literal["off", "released", "softmax"]


class ResponseNet(nn.Module):
    """(Conv 3×3 → ReLU → BN) × M → conv 1×1 → BN: (N, C, H, W) to responses (N, K, H, W).

    Args:
      channels: number of channels K of every layer.
      blocks: number M of 3×3 convolutions.
      options: formulations to use; only ``channels_last`` matters here. None for the fastest.
    """

    def __init__(self, channels: int, blocks: int, options: Options | None = None):
        super().__init__()
        options = options or Options()
        self.format = torch.channels_last if options.channels_last else torch.contiguous_format
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels if n else 3, channels, 3, padding=1) for n in range(blocks)
        )
        self.norms = nn.ModuleList(_build_norm(channels) for _ in range(blocks))
        self.head = nn.Conv2d(channels, channels, 1)
        self.head_norm = _build_norm(channels)
        self.to(memory_format=self.format)  # pyright: ignore[reportCallIssue]

    def forward(self, x: Tensor) -> Tensor:
        x = to_format(x, self.format)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(F.relu(convolution(x), inplace=True))
        return self.head_norm(self.head(x))


def response_objective(
    model: ResponseNet,
    images: Tensor,
    *,
    weight_ce: float = 1.0,
    weight_continuity: float = 1.0,
    weight_center: float = 1.0,
    center: Center = "off",
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Compute weight_ce·L_ce + weight_continuity·L_con + weight_center·L_center.

    Args:
      model: network.
      images: (N, 3, H, W) images in [0, 1].
      weight_ce, weight_continuity, weight_center: weights of the terms.
      center: form of the last term; ``"off"`` leaves it out.

    Returns:
      The loss; the detached terms ``ce``, ``continuity``, ``center`` (unless off) and ``loss``;
      (N, H, W) labels.
    """
    responses = model(images).to(images.dtype)
    # Without a copy in the channels-last format.
    rows = responses.permute(0, 2, 3, 1)
    labels = rows.detach().argmax(-1)
    ce = F.cross_entropy(rows.flatten(0, 2), labels.flatten())
    terms = {"ce": ce, "continuity": continuity_loss(responses)}
    loss = weight_ce * ce + weight_continuity * terms["continuity"]
    if center != "off":
        terms["center"] = center_loss(responses, softmax=center == "softmax")
        loss = loss + weight_center * terms["center"]
    terms["loss"] = loss
    return loss, {name: term.detach() for name, term in terms.items()}, labels


class ResponseTrainer(BaseTrainer[ResponseNet]):
    """The network of SGSCN or DFC with its image and optimiser; see :class:`BaseTrainer`."""

    def build_model(self) -> ResponseNet:
        model = self.config.model
        self.objective = response_objective
        if self.options.compile:
            self.objective = torch.compile(response_objective)
        return ResponseNet(model.channels, model.blocks, self.options)

    def compute_loss(self, matrix: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        # DFC has no center term, and its configuration none of these fields.
        method = vars(self.config.method)
        names = ("weight_continuity", "weight_center", "center")
        settings = {name: method[name] for name in names if name in method}
        weight = self.config.loss.weight_ce
        return self.objective(self.model, self.images, weight_ce=weight, **settings)

    def compute_logits(self) -> Tensor:
        return self.model(self.images)


def continuity_loss(responses: Tensor) -> Tensor:
    """Compute the mean absolute difference of vertical, plus of horizontal, neighbours.

    Args:
      responses: (N, K, H, W), H and W at least 2.
    """
    down = (responses[:, :, 1:] - responses[:, :, :-1]).abs().mean()
    right = (responses[..., 1:] - responses[..., :-1]).abs().mean()
    return down + right


def center_loss(responses: Tensor, *, softmax: bool) -> Tensor:
    """Compute Σ_c Σ q_c·[(x − x_c)² + (y − y_c)²] with q_c = (r_c + 1e-3) / Σ(r_c + 1e-3).

    Args:
      responses: (N, K, H, W) responses r.
      softmax: whether r is replaced by its softmax over channels.

    Returns:
      Mean over N images of the sum over channels.
    """
    weight = (responses.softmax(1) if softmax else responses) + 1e-3
    share = weight / weight.sum((2, 3), keepdim=True)
    distance = torch.zeros((), dtype=share.dtype, device=share.device)
    for axis in (2, 3):
        length = share.shape[axis]
        place = 2 * torch.arange(length, dtype=share.dtype, device=share.device) / length - 1
        place = place[:, None] if axis == 2 else place
        center = (share * place).sum((2, 3), keepdim=True)
        distance = distance + (share * (place - center) ** 2).sum((1, 2, 3))
    return distance.mean()


def _build_norm(channels: int) -> nn.BatchNorm2d:
    """Build a batch normalisation that always uses the statistics of its input."""
    return nn.BatchNorm2d(channels, eps=1e-5, track_running_stats=False)
