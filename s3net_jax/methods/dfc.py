"""DFC: differentiable feature clustering (Kim, Kanezaki and Tanaka, IEEE TIP 29, 2020)."""

from __future__ import annotations

from s3net_jax.config import DFCConfig
from s3net_jax.methods.base import Method
from s3net_jax.methods.responses import (
    build_network,
    compute_continuity_objective,
    compute_responses,
)

__all__ = ["METHOD"]

METHOD = Method(
    config=DFCConfig,
    build=build_network,
    objective=compute_continuity_objective,
    compute_logits=compute_responses,
    terms=("ce", "continuity"),
)
