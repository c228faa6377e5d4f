"""Add atomically without ordering other memory accesses.

Pallas' own ``atomic_add`` has acquire and release semantics: before each addition the
multiprocessor waits for all its memory accesses, and afterwards its L1 cache is invalid. Sums
that nobody reads before the kernel ends need neither. Pallas has no option for relaxed atomics,
so this module defines its own primitive, which is lowered like Pallas' and then relaxed. It
relies on private parts of JAX; if these have changed, it falls back to Pallas' slower addition.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import Array

__all__ = ["RELAXED", "atomic_add"]

_SEMANTIC = "sem"
_RELAXED_CODE = 1


def _make_relaxed() -> Any:
    """Make the primitive; raise any kind of error if JAX's private parts have changed."""
    from jax._src.pallas.triton import lowering, primitives
    from jax._src.state import primitives as state
    from jax.extend.core import Primitive

    rule = lowering.triton_lowering_rules[primitives.atomic_rmw_p]
    kind = primitives.AtomicOpType.ADD
    add_p = Primitive("relaxed_atomic_add")

    def abstract_eval(*avals: Any, args_tree: Any):
        return primitives.atomic_rmw_p.abstract_eval(*avals, args_tree=args_tree, atomic_type=kind)

    def lower(ctx: Any, *args: Any, args_tree: Any):
        from jaxlib.mlir import ir

        value = rule(ctx, *args, args_tree=args_tree, atomic_type=kind)
        attributes = value.owner.attributes
        attributes[_SEMANTIC] = ir.IntegerAttr.get(attributes[_SEMANTIC].type, _RELAXED_CODE)
        return value

    add_p.def_effectful_abstract_eval(abstract_eval)
    lowering.register_lowering(add_p)(lower)

    def add(ref: Any, index: tuple[Any, ...], value: Array, mask: Array) -> None:
        where, transforms = state.get_ref_and_transforms(ref, index, "relaxed_atomic_add")
        flat, tree = jax.tree.flatten((where, transforms, value, mask))
        add_p.bind(*flat, args_tree=tree)

    return add


def _add_acquired(ref: Any, index: tuple[Any, ...], value: Array, mask: Array) -> None:
    from jax.experimental.pallas import triton as plt

    plt.atomic_add(ref, index, value, mask=mask)


try:
    atomic_add = _make_relaxed()
    RELAXED = True
except Exception:  # any change of JAX's private parts
    atomic_add = _add_acquired
    RELAXED = False
