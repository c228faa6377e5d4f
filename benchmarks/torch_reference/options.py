"""Choices that change the speed of the reference and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PLAIN", "Options"]


@dataclass(frozen=True)
class Options:
    """How the reference computes; the defaults are the fastest that were measured (README.md)."""

    channels_last: bool = True
    """Activations in the channels-last memory format."""
    depthwise: Literal["auto", "native", "batched"] = "auto"
    """Depthwise convolutions: the library's, or, where that is slow, those of the image cut
    into a batch; ``auto`` is ``batched`` on the CPU and ``native`` elsewhere."""
    deform: Literal["auto", "taps", "grid_sample", "torchvision"] = "auto"
    """Deformable convolution: ``taps`` (tap by tap, own backward), ``grid_sample`` (one call,
    autograd) or torchvision's operator; ``auto`` is ``taps`` on the CPU, elsewhere
    ``torchvision`` where it is installed, and ``grid_sample`` where not or when compiling."""
    compile: bool = False
    """``torch.compile`` of the joint loss, forward and backward."""


PLAIN = Options(channels_last=False, depthwise="native", deform="grid_sample")
"""As one writes it at first: PyTorch's default format, its own depthwise convolutions, and
``grid_sample``, differentiated by autograd."""
