"""Atomic additions that order nothing but themselves.

Pallas' own ``atomic_add`` is an acquire and a release: before each, the multiprocessor waits for
all its memory accesses, and after it the first cache is empty. Sums that nobody reads before the
kernel ends need neither. Pallas has no option for it, so this is a primitive of our own, lowered
as Pallas' is and then relaxed. It builds on private parts of JAX; where they have changed, Pallas'
own addition serves, more slowly.
"""

from __future__ import annotations

from typing import Any

import jax
from jax import Array

__all__ = ["RELAXED", "atomic_add"]

_SEMANTIC = "sem"
_RELAXED_CODE = 1


def _make_relaxed() -> Any:
    """The primitive; an error of any kind where JAX's private parts are not as expected."""
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
except Exception:  # whatever a future JAX changes
    atomic_add = _add_acquired
    RELAXED = False
