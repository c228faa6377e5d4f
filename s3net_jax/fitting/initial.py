"""The parameters that a fit starts from."""

from __future__ import annotations

from flax import nnx
from jax import Array

from s3net_jax.config import ModelConfig
from s3net_jax.nn import S3Net
from s3net_jax.nn.draws import pooled

__all__ = ["initial_params"]


def initial_params(key: Array, config: ModelConfig, shape: tuple[int, int]) -> nnx.State:
    """The parameters a network starts from: the ``params`` of :class:`S3Net` for ``key``.

    Args:
      key: a PRNG key.
      config: the network.
      shape: (H, W) of the image; matters only for ``deform="free"``.
    """
    return nnx.state(pooled(lambda rngs: S3Net(config, shape, rngs=rngs), key), nnx.Param)
