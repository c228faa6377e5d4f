"""Weights of other implementations."""

from s3net_jax.interop.torch import from_torch, to_torch

__all__ = ["from_torch", "to_torch"]
