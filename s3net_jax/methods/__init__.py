"""Methods of single-image segmentation behind one interface: S3-Net and its rivals."""

from __future__ import annotations

from s3net_jax.methods.base import Method, Shape, make_sgd
from s3net_jax.methods.inputs import Forward, Hyper, StepInputs, Terms
from s3net_jax.methods.registry import get_method, list_methods, register_method
from s3net_jax.methods.s3net import has_fixed_turns

__all__ = [
    "Forward",
    "Hyper",
    "Method",
    "Shape",
    "StepInputs",
    "Terms",
    "get_method",
    "has_fixed_turns",
    "list_methods",
    "make_sgd",
    "register_method",
]
