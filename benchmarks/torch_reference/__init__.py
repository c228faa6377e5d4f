"""S3-Net, SGSCN and DFC in PyTorch, written from the papers: the reference for speed and
numerics."""

from benchmarks.torch_reference.fit import FitResult, Trainer, fit, make_trainer
from benchmarks.torch_reference.model import S3Net
from benchmarks.torch_reference.options import PLAIN, Options
from benchmarks.torch_reference.sgscn import ResponseNet, ResponseTrainer
from benchmarks.torch_reference.trainer import BaseTrainer

__all__ = [
    "PLAIN",
    "BaseTrainer",
    "FitResult",
    "Options",
    "ResponseNet",
    "ResponseTrainer",
    "S3Net",
    "Trainer",
    "fit",
    "make_trainer",
]
