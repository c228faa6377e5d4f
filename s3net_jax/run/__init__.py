"""Many inputs: discovery, one image after another, results written as they finish."""

from __future__ import annotations

from s3net_jax.run.discover import Source, discover
from s3net_jax.run.many import Listener, Summary, segment_inputs
from s3net_jax.run.single import DivergedError, Segmentation, segment_image

__all__ = [
    "DivergedError",
    "Listener",
    "Segmentation",
    "Source",
    "Summary",
    "discover",
    "segment_image",
    "segment_inputs",
]
