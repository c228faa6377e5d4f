"""The precision of the matrix products, as one setting for a whole network."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import jax

from s3net_jax.config import ModelConfig

__all__ = ["set_product_precision"]


def set_product_precision(config: ModelConfig) -> AbstractContextManager[None]:
    """A context in which the products of a network are traced with the configured precision.

    ``precision="bfloat16"``, or activations in bfloat16, round the factors of matrix products to
    bfloat16 where the hardware multiplies those faster (``jax.default_matmul_precision``, which
    the CPU kernels follow too); sums are float32 in any case. ``"default"`` changes nothing.
    """
    if config.precision == "bfloat16" or config.dtype == "bfloat16":
        return jax.default_matmul_precision("bfloat16")
    return nullcontext()
