"""Pictures of results; knows nothing of training."""

from __future__ import annotations

from s3net_jax.report.overlay import overlay

__all__ = ["overlay"]
