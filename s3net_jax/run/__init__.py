"""Many inputs: discovery, batches, engines, results written as they finish."""

from __future__ import annotations

from s3net_jax.errors import DivergedError
from s3net_jax.run.distributed import Share, find_share
from s3net_jax.run.engines.base import Engine, LocalEngine
from s3net_jax.run.inputs import Source, discover
from s3net_jax.run.runner import segment_inputs
from s3net_jax.run.segment import Segmentation, segment_images
from s3net_jax.run.summary import Listener, Summary

__all__ = [
    "DivergedError",
    "Engine",
    "Listener",
    "LocalEngine",
    "Segmentation",
    "Share",
    "Source",
    "Summary",
    "discover",
    "find_share",
    "segment_images",
    "segment_inputs",
]
