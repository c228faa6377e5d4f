"""Find where a program runs, and replace kernels when it is lowered for another platform.

The platform of a traced computation is not known yet: ``jax.export`` and
``jit(f).trace(...).lower(lowering_platforms=...)`` lower for platforms of the caller's choice,
possibly several at once. The choice is therefore made at lowering: a custom primitive has one
rule for the kernels' platform and one for the others. Unlike ``jax.lax.platform_dependent`` it
traces the alternative only if a program is lowered for such a platform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Primitive, jaxpr_as_fun
from jax.interpreters import batching, mlir

__all__ = ["choose_by_platform", "find_platform"]

_GPU = ("gpu", "cuda", "rocm")


def find_platform(*arrays: Any) -> str:
    """Return where a computation on ``arrays`` will run: ``"cpu"``, ``"gpu"`` or another platform.

    Concrete arrays determine it; otherwise it is JAX's default device.
    """
    for array in arrays:
        if isinstance(array, jax.Array) and not isinstance(array, Tracer):
            name = next(iter(array.devices())).platform
            break
    else:
        device = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
        if device is None:
            name = jax.default_backend()
        else:
            name = device.partition(":")[0] if isinstance(device, str) else device.platform
    return "gpu" if name in _GPU else name


_on_cpu_p = Primitive("s3net_on_cpu")
_on_cpu_p.multiple_results = True


def choose_by_platform(
    kernels: Callable[..., Any], plain: Callable[..., Any]
) -> Callable[..., Any]:
    """Use ``kernels`` if the program is lowered for a CPU, and ``plain`` elsewhere.

    Args:
      kernels: (*trees of arrays) -> tree of arrays; may use calls that only a CPU supports.
      plain: function with the same result and shapes, in JAX's own operations.

    Returns:
      A function that makes this choice when it is lowered.
    """

    def choose(*args: Any) -> Any:
        leaves, tree = jax.tree.flatten(args)
        jaxpr, shapes = jax.make_jaxpr(kernels, return_shape=True)(*args)

        def alternative(*leaves: Any) -> list[Any]:
            found = jax.tree.leaves(plain(*jax.tree.unflatten(tree, leaves)))
            wanted = jax.tree.leaves(shapes)
            return [a.astype(w.dtype) for a, w in zip(found, wanted, strict=True)]

        results = _on_cpu_p.bind(*leaves, jaxpr=jaxpr, plain=alternative)
        return jax.tree.unflatten(jax.tree.structure(shapes), results)

    return choose


@_on_cpu_p.def_impl
def _run(*args: Any, jaxpr: ClosedJaxpr, plain: Callable[..., Any]) -> list[Any]:
    # This runs eagerly: the kernels were chosen for concrete arrays on a CPU.
    return jaxpr_as_fun(jaxpr)(*args)


@_on_cpu_p.def_abstract_eval
def _abstract(*avals: Any, jaxpr: ClosedJaxpr, plain: Callable[..., Any]) -> list[Any]:
    return list(jaxpr.out_avals)


def _lower_kernels(ctx: Any, *args: Any, jaxpr: ClosedJaxpr, plain: Callable[..., Any]) -> Any:
    return mlir.lower_fun(jaxpr_as_fun(jaxpr), multiple_results=True)(ctx, *args)


def _lower_plain(ctx: Any, *args: Any, jaxpr: ClosedJaxpr, plain: Callable[..., Any]) -> Any:
    return mlir.lower_fun(plain, multiple_results=True)(ctx, *args)


def _batch(
    args: tuple[Any, ...], axes: tuple[Any, ...], *, jaxpr: ClosedJaxpr, plain: Callable[..., Any]
) -> tuple[list[Any], list[int]]:
    kernels, other = (
        jax.vmap(function, in_axes=axes, out_axes=0) for function in (jaxpr_as_fun(jaxpr), plain)
    )
    results = choose_by_platform(kernels, other)(*args)
    return results, [0] * len(results)


mlir.register_lowering(_on_cpu_p, _lower_kernels, platform="cpu")
mlir.register_lowering(_on_cpu_p, _lower_plain)
batching.primitive_batchers[_on_cpu_p] = _batch
