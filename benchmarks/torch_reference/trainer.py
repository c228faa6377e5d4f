"""Run optimisation steps on one image, one at a time: what all reference networks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.torch_reference.options import Options
from s3net_jax.config import Config

__all__ = ["BaseTrainer"]

Network = TypeVar("Network", bound=nn.Module)


class BaseTrainer(Generic[Network]):
    """A network with its image and optimiser, SGD with momentum.

    A subclass defines :meth:`build_model`, :meth:`compute_loss` and :meth:`compute_logits`.

    Args:
      image: (H, W, 3) image in [0, 1].
      config: configuration; its sections model, loss, method and fit are read.
      seed: seed of the parameters.
      state: initial parameters by name; None for random ones.
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
        device: str | torch.device = "cpu",
        options: Options | None = None,
    ):
        self.config = config
        self.options = options or Options()
        self.device = torch.device(device)
        self.dtype = torch.float64 if config.model.dtype == "float64" else torch.float32
        self.reduced = config.model.dtype == "bfloat16"
        image = torch.tensor(np.asarray(image), dtype=self.dtype, device=self.device)
        self.shape = (image.shape[0], image.shape[1])
        # Copy the image: is_contiguous() accepts the strides of a view as channels-last, C++ does
        # not, and Inductor and cuDNN would disagree on the format of the stem's weight gradient.
        last = self.options.channels_last
        layout = torch.channels_last if last else torch.contiguous_format
        self.images = image.permute(2, 0, 1)[None].clone(memory_format=layout)

        # Draw parameters on the CPU, so that a seed gives the same network on every device.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model: Network = self.build_model()
        self.model.to(device=self.device, dtype=self.dtype)
        if state is not None:
            start = {name: torch.tensor(np.asarray(a)) for name, a in state.items()}
            self.model.load_state_dict(start)
        self.optimizer = torch.optim.SGD(
            self.model.parameters(),
            lr=config.fit.learning_rate,
            momentum=config.fit.momentum,
        )

    def build_model(self) -> Network:
        """Build the network on the CPU in float32."""
        raise NotImplementedError

    def compute_loss(self, matrix: Any) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Compute the loss, its detached terms, and the (N, H, W) labels."""
        raise NotImplementedError

    def compute_logits(self) -> Tensor:
        """Compute the (N, K, H, W) logits."""
        raise NotImplementedError

    def step(self, matrix: Any = None) -> tuple[dict[str, Tensor], Tensor]:
        """Run one step: loss, gradients, update.

        Args:
          matrix: (2, 3) transform of S3-Net's second path; None to draw one.

        Returns:
          The terms of the loss and ``labels``, the number of distinct labels, as scalars on the
          device; and the (H, W) labels. All belong to the state before the update.
        """
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss, terms, labels = self.compute_loss(matrix)
        loss.backward()
        self.optimizer.step()
        present = torch.zeros(self.config.model.channels, device=self.device)
        terms["labels"] = present.index_fill_(0, labels.flatten(), 1).sum()
        return terms, labels[0]

    @torch.no_grad()
    def logits(self) -> Tensor:
        """Compute the (H, W, K) logits of the network in its current state."""
        with self._autocast():
            logits = self.compute_logits()
        return logits[0].permute(1, 2, 0).to(self.dtype)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.reduced)
