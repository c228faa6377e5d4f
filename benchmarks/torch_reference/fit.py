"""Fit one image by SGD steps on the joint loss."""

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
from benchmarks.torch_reference.warp import draw_affine, find_quarter_turns
from s3net_jax.config import Config

__all__ = ["FitResult", "Trainer", "fit"]


@dataclass(frozen=True)
class FitResult:
    """Result of :func:`fit`.

    Attributes:
      labels: (H, W) int64, argmax of ``logits``.
      logits: (H, W, K) logits of the trained network, from a forward pass after the last update.
      history: arrays ``loss``, ``ce``, ``affine``, ``spatial`` and ``labels`` (number of labels),
        with an entry for each step, from its forward pass.
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


class Trainer:
    """A network with its image and optimiser; :meth:`step` runs one optimisation step.

    Args:
      image: (H, W, 3) image in [0, 1].
      config: configuration; its sections model, loss and fit are read.
      seed: seed of parameters, transforms and palette.
      state: initial parameters by name; None for random ones.
      palette: (K,) grey values; None for random ones.
      device: device to compute on.
      options: formulations to use; None for the fastest.
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
        self.config = config
        options = options or Options()
        self.device = torch.device(device)
        self.dtype = torch.float64 if config.model.dtype == "float64" else torch.float32
        self.reduced = config.model.dtype == "bfloat16"
        image = torch.tensor(np.asarray(image), dtype=self.dtype, device=self.device)
        self.shape = (image.shape[0], image.shape[1])
        # Copy the image: is_contiguous() accepts the strides of a view as channels-last, C++ does
        # not, and Inductor and cuDNN would disagree on the format of the stem's weight gradient.
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        self.images = image.permute(2, 0, 1)[None].clone(memory_format=layout)

        # Draw parameters on the CPU, so that a seed gives the same network on every device.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = S3Net(config.model, self.shape, options)
        self.model.to(device=self.device, dtype=self.dtype)
        if state is not None:
            start = {name: torch.tensor(np.asarray(a)) for name, a in state.items()}
            self.model.load_state_dict(start)
        self.generator = torch.Generator().manual_seed(seed)
        if palette is None:
            # As in the released code: the luma (BT.601) of random 8-bit RGB colours.
            colors = torch.randint(0, 256, (config.model.channels, 3), generator=self.generator)
            palette = colors.double() @ torch.tensor([0.299, 0.587, 0.114]).double() / 255
        self.palette = torch.tensor(np.asarray(palette), dtype=self.dtype, device=self.device)

        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=config.fit.learning_rate,
            momentum=config.fit.momentum,
        )
        self.objective = torch.compile(objective) if options.compile else objective

    def step(self, matrix: Any = None) -> tuple[dict[str, Tensor], Tensor]:
        """Run one step: loss, gradients, update.

        Args:
          matrix: (2, 3) transform; None to draw one.

        Returns:
          The terms of the loss and ``labels``, the number of distinct labels, as scalars on the
          device; and the (H, W) labels. All belong to the state before the update.
        """
        affine = self.config.loss.affine
        turned = affine.apply_at == "logits" and find_quarter_turns(affine, self.shape) is not None
        if matrix is None and not turned:
            matrix = draw_affine(self.generator, affine, self.shape)
        if matrix is not None:
            matrix = torch.as_tensor(matrix, dtype=self.dtype).to(self.device, non_blocking=True)
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss, terms, labels = self.objective(
                self.model, self.images, self.config.loss, matrix, self.palette
            )
        loss.backward()
        self.optimizer.step()
        present = torch.zeros(self.config.model.channels, device=self.device)
        terms["labels"] = present.index_fill_(0, labels.flatten(), 1).sum()
        return terms, labels[0]

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Compute the (H, W, K) logits of the network in its current state."""
        with self._autocast():
            features, _ = self.model.encode(self.images)
            logits = self.model.decode(features, self.images)
        return logits[0].permute(1, 2, 0).to(self.dtype)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced)


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
    """Train S3-Net on one image and return its segmentation.

    Args:
      transforms: (steps, 2, 3) matrices; None to draw them.
      image, config, seed, state, palette, device, options: see :class:`Trainer`.
    """
    trainer = Trainer(
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
