"""Change the memory format of tensors and of their gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["to_format"]


def to_format(x: Tensor, memory_format: torch.memory_format) -> Tensor:
    """Convert ``x`` to ``memory_format``; its gradient is converted back to the format of ``x``.

    The gradient of ``Tensor.contiguous`` keeps the format of the result. Earlier layers then get
    gradients in another format than their activations, which makes batch normalisation three times
    as slow on the CPU.
    """
    if x.is_contiguous(memory_format=memory_format):
        return x
    return _ToFormat.apply(x, memory_format)


class _ToFormat(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, memory_format: torch.memory_format) -> Tensor:
        channels_last = x.is_contiguous(memory_format=torch.channels_last)
        ctx.format = torch.channels_last if channels_last else torch.contiguous_format
        return x.contiguous(memory_format=memory_format)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return grads[0].contiguous(memory_format=ctx.format), None
