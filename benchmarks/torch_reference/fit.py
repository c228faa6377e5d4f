"""Fit one image by SGD steps: the trainer of S3-Net, and whole fits of every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.torch_reference.losses import objective
from benchmarks.torch_reference.model import S3Net
from benchmarks.torch_reference.options import Options
from benchmarks.torch_reference.sgscn import ResponseTrainer
from benchmarks.torch_reference.trainer import BaseTrainer
from benchmarks.torch_reference.warp import draw_affine, find_quarter_turns
from s3net_jax.config import Config

__all__ = ["FitResult", "Trainer", "fit", "make_trainer"]


@dataclass(frozen=True)
class FitResult:
    """Result of :func:`fit`.

    Attributes:
      labels: (H, W) int64, argmax of ``logits``.
      logits: (H, W, K) logits of the trained network, from a forward pass after the last update.
      history: arrays ``loss``, the terms of the method (``ce``, ``affine`` and ``spatial`` of
        S3-Net) and ``labels`` (number of labels), with an entry for each step, from its forward
        pass.
      steps: number of steps done.
      label_maps: (steps, H, W) labels of every step; None unless ``fit.record_labels`` is set.
      state: trained parameters by name.
    """

    labels: np.ndarray
    logits: np.ndarray
    history: dict[str, np.ndarray]
    steps: int
    label_maps: np.ndarray | None
    state: dict[str, Tensor]


class Trainer(BaseTrainer[S3Net]):
    """S3-Net with its image and optimiser; :meth:`step` runs one optimisation step.

    Args:
      image, config, state, device, options: see :class:`BaseTrainer`.
      seed: seed of parameters, transforms and palette.
      palette: (K,) grey values; None for random ones.
    """

    def __init__(
        self,
        image: Any,
        config: Config,
        *,
        seed: int = 0,
        state: Mapping[str, Any] | None = None,
        palette: Any = None,
        device: str | torch.device = "cpu",
        options: Options | None = None,
    ):
        super().__init__(image, config, seed=seed, state=state, device=device, options=options)
        self.generator = torch.Generator().manual_seed(seed)
        if palette is None:
            # As in the released code: the luma (BT.601) of random 8-bit RGB colours.
            colors = torch.randint(0, 256, (config.model.channels, 3), generator=self.generator)
            palette = colors.double() @ torch.tensor([0.299, 0.587, 0.114]).double() / 255
        self.palette = torch.tensor(np.asarray(palette), dtype=self.dtype, device=self.device)
        self.objective = torch.compile(objective) if self.options.compile else objective

    def build_model(self) -> S3Net:
        return S3Net(self.config.model, self.shape, self.options)

    def compute_loss(self, matrix: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        affine = self.config.loss.affine
        turned = affine.apply_at == "logits" and find_quarter_turns(affine, self.shape) is not None
        if matrix is None and not turned:
            matrix = draw_affine(self.generator, affine, self.shape)
        if matrix is not None:
            matrix = torch.as_tensor(matrix, dtype=self.dtype).to(self.device, non_blocking=True)
        return self.objective(self.model, self.images, self.config.loss, matrix, self.palette)

    def compute_logits(self) -> Tensor:
        features, _ = self.model.encode(self.images)
        return self.model.decode(features, self.images)


def make_trainer(
    image: Any, config: Config, *, palette: Any = None, **options: Any
) -> BaseTrainer[Any]:
    """Build the trainer of the method that ``config`` names.

    Args:
      image, config: see :class:`BaseTrainer`.
      palette: see :class:`Trainer`; only S3-Net has one.
      **options: other arguments of :class:`BaseTrainer`.

    Raises:
      ValueError: the method has no reference in PyTorch.
    """
    name = config.method.name
    if name == "s3net":
        return Trainer(image, config, palette=palette, **options)
    if name in ("sgscn", "dfc"):
        return ResponseTrainer(image, config, **options)
    raise ValueError(
        f"The method {name!r} has no reference in PyTorch: choose s3net, sgscn or dfc."
    )


def fit(
    image: Any,
    config: Config,
    *,
    seed: int = 0,
    state: Mapping[str, Any] | None = None,
    transforms: Sequence[Any] | None = None,
    palette: Any = None,
    device: str | torch.device = "cpu",
    options: Options | None = None,
) -> FitResult:
    """Train the network of a method on one image and return its segmentation.

    Args:
      transforms: (steps, 2, 3) matrices for S3-Net; None to draw them.
      image, config, seed, state, palette, device, options: see :func:`make_trainer`.
    """
    trainer = make_trainer(
        image, config, seed=seed, state=state, palette=palette, device=device, options=options
    )
    settings = config.fit
    records: list[dict[str, Tensor]] = []
    maps: list[Tensor] = []
    for index in range(settings.steps):
        terms, labels = trainer.step(None if transforms is None else transforms[index])
        records.append(terms)
        if settings.record_labels:
            maps.append(labels)
        # Read the count only for early stops: the transfer to the host waits for the device.
        may_stop = settings.stop_labels > 0 and index + 1 >= settings.stop_after
        if may_stop and int(terms["labels"]) <= settings.stop_labels:
            break
    logits = trainer.logits().cpu()
    return FitResult(
        labels=logits.argmax(-1).numpy(),
        logits=logits.numpy(),
        history={n: torch.stack([r[n] for r in records]).cpu().numpy() for n in records[0]},
        steps=len(records),
        label_maps=torch.stack(maps).cpu().numpy() if maps else None,
        state={name: value.detach().cpu() for name, value in trainer.model.state_dict().items()},
    )
