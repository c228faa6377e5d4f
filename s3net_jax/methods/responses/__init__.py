"""What SGSCN, DFC and SLIC backpropagation share: a network, terms of the loss, data."""

from __future__ import annotations

from s3net_jax.methods.responses.losses import compute_center_term, compute_continuity
from s3net_jax.methods.responses.network import ResponseNet, build_network, compute_responses
from s3net_jax.methods.responses.objective import compute_continuity_objective, compute_label_loss
from s3net_jax.methods.responses.scribbles import count_scribble_classes, read_scribbles
from s3net_jax.methods.responses.superpixels import assign_majority, find_superpixels

__all__ = [
    "ResponseNet",
    "assign_majority",
    "build_network",
    "compute_center_term",
    "compute_continuity",
    "compute_continuity_objective",
    "compute_label_loss",
    "compute_responses",
    "count_scribble_classes",
    "find_superpixels",
    "read_scribbles",
]
