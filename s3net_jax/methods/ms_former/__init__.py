"""MS-Former: attention at two scales, trained to agree within a scale and between the scales."""

from __future__ import annotations

from s3net_jax.methods.ms_former.method import METHOD

__all__ = ["METHOD"]
