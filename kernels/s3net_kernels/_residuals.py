"""Protect the residuals of a custom gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

__all__ = ["keep_copies"]


def keep_copies(forward: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """Make the forward half of a custom gradient keep copies of its residuals.

    JAX does not store residuals that are inputs, but records which input each one is. Up to JAX
    0.10.2 (``JaxprTrace.process_custom_vjp_call``) these indices are wrong if partial evaluation
    has put constants before the inputs, as ``grad(grad(f))`` of a scan of gradient steps does:
    the backward pass then receives other arrays than it kept. A copy is not an input, and costs
    nothing, because compiled programs drop it.

    Args:
      forward: (*args) -> (result, residuals), as ``jax.custom_vjp.defvjp`` takes it.
    """

    def keep(*args: Any) -> tuple[Any, Any]:
        result, residuals = forward(*args)
        return result, jax.tree.map(_copy, residuals)

    return keep


def _copy(leaf: Any) -> Any:
    # Skip concrete values: they are computed eagerly, where the copy would not be dropped.
    return jnp.copy(leaf) if isinstance(leaf, Tracer) else leaf
