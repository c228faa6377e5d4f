"""Checks of arguments. An error says what is wrong, where, and what to do about it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

__all__ = [
    "as_float",
    "compute_dtype",
    "need",
    "need_boundary",
    "need_kernel",
    "need_pixels",
    "need_rank",
]


def need(ok: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``ok``."""
    if not ok:
        raise ValueError(message)


def as_float(operator: str, name: str, value: ArrayLike) -> Array:
    """``value`` as an array of floating point numbers; TypeError if it holds anything else."""
    if value is None:
        raise TypeError(f"{operator}: {name} is None, it must be an array: give zeros for none.")
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{operator}: {name} holds {array.dtype}, which has no gradient: convert it to a "
            f"floating point type first, as {name}.astype(jnp.float32)."
        )
    return array


def need_rank(operator: str, name: str, array: Array, axes: str) -> None:
    """``array`` has as many axes as ``axes`` (such as ``"N, H, W, C"``) names."""
    rank = axes.count(",") + 1
    hint = " Add a batch axis: x[None]." if name == "x" and array.ndim == rank - 1 else ""
    need(
        array.ndim == rank,
        f"{operator}: {name} has shape {array.shape}, it must be ({axes}).{hint}",
    )


def need_pixels(operator: str, x: Array) -> None:
    """The images of ``x`` have at least one pixel (there may be no image)."""
    need(x.shape[1] > 0 and x.shape[2] > 0, f"{operator}: x of shape {x.shape} has no pixel.")


def need_kernel(operator: str, name: str, size: tuple[int, int]) -> None:
    """Both sides of a kernel are odd."""
    need(
        all(side >= 1 and side % 2 == 1 for side in size),
        f"{operator}: {name} has a {size[0]}×{size[1]} kernel, but 'same' padding around a centre "
        "needs odd sides: pad the kernel with a row or column of zeros.",
    )


def need_boundary(operator: str, boundary: str) -> None:
    """``boundary`` is one of the two there are."""
    need(
        boundary in ("zeros", "edge"),
        f"{operator}: boundary is {boundary!r}, it must be 'zeros' or 'edge'.",
    )


def compute_dtype(*arrays: Any) -> jnp.dtype:
    """The dtype to compute in: the widest of the arguments, at least float32."""
    kinds = [array.dtype for array in arrays if array is not None]
    # Theirs to choose, whatever promotion the caller allows of their own arrays.
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(jnp.float32, *kinds)
