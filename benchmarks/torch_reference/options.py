"""Options that only change the speed of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["PLAIN", "Options"]


@dataclass(frozen=True)
class Options:
    """Formulations of the reference; the defaults are the fastest measured (README.md)."""

    channels_last: bool = True
    """Whether activations use the channels-last memory format."""
    depthwise: Literal["auto", "native", "batched"] = "auto"
    """Depthwise convolution: ``native`` is the library's, ``batched`` cuts the image into a batch
    where that is faster; ``auto`` is ``batched`` on the CPU and ``native`` elsewhere."""
    deform: Literal["auto", "taps", "grid_sample", "torchvision"] = "auto"
    """Deformable convolution: ``taps`` (one tap at a time, custom backward), ``grid_sample`` (one
    call, autograd) or ``torchvision`` (its operator). ``auto`` is ``taps`` on the CPU; elsewhere it
    is ``torchvision``, or ``grid_sample`` if that is not installed or when compiling."""
    compile: bool = False
    """Whether to compile the joint loss, forward and backward, with ``torch.compile``."""


PLAIN = Options(channels_last=False, depthwise="native", deform="grid_sample")
"""The network as first written: PyTorch's default memory format, its depthwise convolutions, and
``grid_sample`` differentiated by autograd."""
