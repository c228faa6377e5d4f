"""Track the mesh axes that values vary over inside ``jax.shard_map`` (``check_vma``).

JAX's own operations accept operands that vary over different axes, and their results vary over
all of them. Custom gradients, loops and foreign calls need explicit conversions. Outside
``shard_map``, and with ``check_vma=False``, nothing varies and these functions do nothing.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["find_axes", "vary", "vary_alike", "zeros"]


def find_axes(*trees: Any) -> frozenset[str]:
    """Return the mesh axes that at least one array of ``trees`` varies over."""
    found: frozenset[str] = frozenset()
    for leaf in jax.tree.leaves(trees):
        if isinstance(leaf, jax.Array):
            found |= _axes(leaf)
    return found


def _axes(array: Array) -> frozenset[str]:
    kind: Any = jax.typeof(array)
    # JAX releases differ in where they store the axes.
    kind = getattr(kind, "manual_axis_type", kind)
    return getattr(kind, "varying", None) or getattr(kind, "vma", None) or frozenset()


def vary(tree: Any, axes: frozenset[str]) -> Any:
    """Make the arrays of ``tree`` vary over ``axes``; the transpose sums over the added axes."""

    def vary_leaf(leaf: Any) -> Any:
        missing = axes - _axes(leaf) if isinstance(leaf, jax.Array) else None
        return jax.lax.pcast(leaf, tuple(sorted(missing)), to="varying") if missing else leaf

    return jax.tree.map(vary_leaf, tree) if axes else tree


def vary_alike(tree: Any) -> Any:
    """Make all arrays of ``tree`` vary over the same axes."""
    return vary(tree, find_axes(tree))


def zeros(shape: tuple[int, ...], dtype: Any, *like: Any) -> Array:
    """Make zeros that vary over the same axes as ``like``."""
    return vary(jnp.zeros(shape, dtype), find_axes(like))
