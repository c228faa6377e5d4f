"""What a custom gradient keeps for its backward pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer

__all__ = ["keep_copies"]


def keep_copies(forward: Callable[..., tuple[Any, Any]]) -> Callable[..., tuple[Any, Any]]:
    """Make the forward half of a custom gradient keep arrays of its own.

    JAX does not store residuals that are inputs, but notes which input each is. Up to JAX 0.10.2
    (``JaxprTrace.process_custom_vjp_call``) those numbers are wrong once partial evaluation has
    put constants before the inputs, as ``grad(grad(f))`` of a scan of gradient steps does: the
    backward pass then gets other arrays than were kept. A copy is no input, and costs nothing:
    compiled programs drop it.

    Args:
      forward: (*args) -> (result, residuals), as ``jax.custom_vjp.defvjp`` takes it.
    """

    def keep(*args: Any) -> tuple[Any, Any]:
        result, residuals = forward(*args)
        return result, jax.tree.map(_copy, residuals)

    return keep


def _copy(leaf: Any) -> Any:
    # Values that are not traced were computed eagerly, where the copy would be a real one.
    return jnp.copy(leaf) if isinstance(leaf, Tracer) else leaf
