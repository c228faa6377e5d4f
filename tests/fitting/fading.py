"""A small fit whose labels fade from 8 to some 3 within ten steps, for tests of early stops."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s3net_jax.config import Config

__all__ = ["fading_config", "fading_image"]


def fading_config(**fit: Any) -> Config:
    """Plain convolutions in float64, which compile quickly, and a high learning rate."""
    return Config().replace(
        model={"channels": 8, "blocks": 1, "block": "conv", "deform": "none", "dtype": "float64"},
        loss={"affine": {"apply_at": "logits"}},
        fit={"learning_rate": 0.3, **fit},
    )


def fading_image() -> jax.Array:
    """(12, 12, 3): squares of one colour each, and noise; in float64 with ``x64``."""
    coarse = np.kron(np.random.default_rng(0).random((4, 4, 3)), np.ones((3, 3, 1)))
    return jnp.asarray(0.8 * coarse + 0.1 * np.random.default_rng(1).random((12, 12, 3)))
