"""Mesh axes that values vary over inside ``jax.shard_map``, which checks them (``check_vma``).

JAX's own operations take operands that vary over different axes and give back what varies over
all of them; a custom gradient, a loop and a foreign call need to be told. Outside ``shard_map``,
and with ``check_vma=False``, nothing varies and all of this does nothing.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["alike", "vary", "varying", "zeros"]


def varying(*trees: Any) -> frozenset[str]:
    """The mesh axes that at least one array of ``trees`` varies over."""
    found: frozenset[str] = frozenset()
    for leaf in jax.tree.leaves(trees):
        if isinstance(leaf, jax.Array):
            found |= _axes(leaf)
    return found


def _axes(array: Array) -> frozenset[str]:
    kind: Any = jax.typeof(array)
    # Releases of JAX differ in where they keep it.
    kind = getattr(kind, "manual_axis_type", kind)
    return getattr(kind, "varying", None) or getattr(kind, "vma", None) or frozenset()


def vary(tree: Any, axes: frozenset[str]) -> Any:
    """``tree``, whose arrays vary over all of ``axes``. The transpose sums over what is added."""

    def one(leaf: Any) -> Any:
        missing = axes - _axes(leaf) if isinstance(leaf, jax.Array) else None
        return jax.lax.pcast(leaf, tuple(sorted(missing)), to="varying") if missing else leaf

    return jax.tree.map(one, tree) if axes else tree


def alike(*trees: Any) -> tuple[Any, ...]:
    """The trees, whose arrays all vary over the same axes."""
    return tuple(vary(trees, varying(trees)))


def zeros(shape: tuple[int, ...], dtype: Any, *like: Any) -> Array:
    """Zeros that vary over the same axes as ``like``."""
    return vary(jnp.zeros(shape, dtype), varying(like))
