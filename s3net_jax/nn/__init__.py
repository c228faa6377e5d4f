"""Flax NNX modules of S3-Net in NHWC layout; each can be used independently."""

from s3net_jax.nn.attention import AttentionBlock, InceptionLKA
from s3net_jax.nn.color import ColorBranch
from s3net_jax.nn.deform import DeformConv
from s3net_jax.nn.layers import BatchNorm, Conv, DepthwiseConv, Pointwise
from s3net_jax.nn.s3net import S3Net

__all__ = [
    "AttentionBlock",
    "BatchNorm",
    "ColorBranch",
    "Conv",
    "DeformConv",
    "DepthwiseConv",
    "InceptionLKA",
    "Pointwise",
    "S3Net",
]
