"""S3-Net in PyTorch, written from the paper: the reference for speed and numerics."""

from benchmarks.torch_reference.fit import FitResult, Trainer, fit
from benchmarks.torch_reference.model import S3Net
from benchmarks.torch_reference.options import PLAIN, Options

__all__ = ["PLAIN", "FitResult", "Options", "S3Net", "Trainer", "fit"]
