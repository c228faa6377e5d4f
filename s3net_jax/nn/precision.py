"""Set the precision of the matrix products of a whole network."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import jax

from s3net_jax.config import ModelConfig

__all__ = ["set_product_precision"]


def set_product_precision(config: ModelConfig) -> AbstractContextManager[None]:
    """Return a context that traces a network's products with the configured precision.

    ``precision="bfloat16"``, or activations in bfloat16, rounds the factors of matrix products to
    bfloat16 where the hardware multiplies those faster (``jax.default_matmul_precision``, which
    the CPU kernels follow too); sums are always float32. ``"default"`` changes nothing.
    """
    if config.precision == "bfloat16" or config.dtype == "bfloat16":
        return jax.default_matmul_precision("bfloat16")
    return nullcontext()
