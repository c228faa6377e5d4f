"""Compute the terms of the joint loss and the objective of one step (equations 4 to 7)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.torch_reference.model import S3Net
from benchmarks.torch_reference.warp import find_quarter_turns, warp, warp_labels
from s3net_jax.config import AffineConfig, LossConfig

__all__ = ["affine_loss", "hard_spatial_loss", "objective", "sobel", "spatial_loss"]


def objective(
    model: S3Net,
    images: Tensor,
    config: LossConfig,
    matrix: Tensor | None = None,
    palette: Tensor | None = None,
) -> tuple[Tensor, dict[str, Tensor], Tensor]:
    """Compute weight_ce·L_ce + weight_affine·L_AT + weight_spatial·L_S (equation 7).

    Args:
      model: network.
      images: (N, 3, H, W) images in [0, 1].
      config: weights and forms of the terms.
      matrix: (2, 3) transform of this step; None if all transforms are the same quarter turn.
      palette: (K,) grey values in [0, 1]; required for ``config.spatial == "hard"``.

    Returns:
      The loss; the detached terms ``ce``, ``affine``, ``spatial`` and ``loss``; (N, H, W) labels.
    """
    features, entering = model.encode(images)
    logits = _move_clusters_last(model.decode(features, images), images.dtype)
    labels = logits.detach().argmax(-1)
    log_probability = F.log_softmax(logits, -1)
    ce = F.nll_loss(log_probability.flatten(0, 2), labels.flatten())
    if config.spatial == "soft":
        spatial = spatial_loss(log_probability.exp())
    elif config.spatial == "hard":
        assert palette is not None
        spatial = hard_spatial_loss(labels, palette)
    else:
        raise ValueError(f"the PyTorch reference has no loss.spatial={config.spatial!r}")
    affine = _compute_affine_term(model, images, features, entering, labels, config.affine, matrix)

    loss = config.weight_ce * ce + config.weight_affine * affine + config.weight_spatial * spatial
    terms = {"loss": loss, "ce": ce, "affine": affine, "spatial": spatial}
    return loss, {name: term.detach() for name, term in terms.items()}, labels


def affine_loss(logits: Tensor, labels: Tensor, matrix: Tensor) -> Tensor:
    """Compute the cross entropy of the second path with the transformed labels, on valid pixels.

    Args:
      logits: (N, H, W, K) logits of the second path.
      labels: (N, H, W) labels of the main path, not yet transformed.
      matrix: (2, 3) transform.
    """
    moved, valid = warp_labels(labels, matrix)
    valid = valid.expand_as(moved)
    # Use an ignored index instead of selecting pixels: shapes stay static, without a sync.
    target = torch.where(valid, moved, -100)
    total = F.cross_entropy(logits.flatten(0, 2), target.flatten(), reduction="sum")
    return total / valid.sum().clamp(min=1)


def spatial_loss(probability: Tensor) -> Tensor:
    """Compute the mean over pixels of Σ_k |X−Y| + |X−Z| + |Y−Z|.

    X, Y and Z are the magnitudes of the three derivatives (:func:`sobel`).

    Args:
      probability: (N, H, W, K) probabilities, H and W at least 2.
    """
    x, y, z = (derivative.abs() for derivative in sobel(probability.permute(0, 3, 1, 2)))
    total = (x - y).abs() + (x - z).abs() + (y - z).abs()
    return total.sum() / probability.shape[:3].numel()


def hard_spatial_loss(labels: Tensor, palette: Tensor) -> Tensor:
    """Compute the released form: signed derivatives of painted (N, H, W) labels, no gradient."""
    x, y, z = sobel(palette.detach()[labels][:, None])
    return (y - x).abs().mean() + (z - x).abs().mean() + (z - y).abs().mean()


def sobel(maps: Tensor) -> tuple[Tensor, ...]:
    """Compute 3×3 derivatives along x, y and both of (N, C, H, W) maps.

    The border is reflected, as in OpenCV. Depthwise convolutions are faster here than several
    elementwise passes over the maps.
    """
    channels = maps.shape[1]
    maps = F.pad(maps, (1, 1, 1, 1), mode="reflect")
    # Create the kernels on the device: copying them to a GPU would wait for it.
    slope = torch.arange(-1, 2, dtype=maps.dtype, device=maps.device)
    smooth = 2 - slope.abs()
    # Kernels have axes [row, column].
    kernels = (
        smooth[:, None] * slope,
        slope[:, None] * smooth,
        slope[:, None] * slope,
    )
    with torch.autocast(maps.device.type, enabled=False):
        return tuple(
            F.conv2d(maps, kernel.expand(channels, 1, 3, 3), groups=channels) for kernel in kernels
        )


def _compute_affine_term(
    model: S3Net,
    images: Tensor,
    features: Tensor,
    entering: Tensor,
    labels: Tensor,
    config: AffineConfig,
    matrix: Tensor | None,
) -> Tensor:
    if config.apply_at == "logits":
        second = model.auxiliary_logits(features)
        if matrix is None:
            turns = find_quarter_turns(config, (images.shape[2], images.shape[3])) or 0
            second = _move_clusters_last(second.rot90(turns, (2, 3)), images.dtype)
            return F.cross_entropy(second.flatten(0, 2), labels.rot90(turns, (1, 2)).flatten())
        return affine_loss(_move_clusters_last(warp(second, matrix), images.dtype), labels, matrix)
    assert matrix is not None
    if config.apply_at == "features":
        moved = model.last_block(warp(entering, matrix))
    else:
        moved = model.encode(warp(images, matrix))[0]
    second = model.auxiliary_logits(moved)
    return affine_loss(_move_clusters_last(second, images.dtype), labels, matrix)


def _move_clusters_last(maps: Tensor, dtype: torch.dtype) -> Tensor:
    """Permute (N, K, H, W) to (N, H, W, K), without a copy in the channels-last format."""
    return maps.permute(0, 2, 3, 1).to(dtype)
