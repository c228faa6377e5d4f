"""The terms of the joint loss, each a pure function of logits (equations 4 to 7)."""

from s3net_jax.losses.affine import affine_consistency
from s3net_jax.losses.cross_entropy import cross_entropy, pseudo_label
from s3net_jax.losses.spatial import hard_spatial_consistency, spatial_consistency

__all__ = [
    "affine_consistency",
    "cross_entropy",
    "hard_spatial_consistency",
    "pseudo_label",
    "spatial_consistency",
]
