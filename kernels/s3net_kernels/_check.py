"""Check arguments; errors state what is wrong, where, and what to do about it."""

from __future__ import annotations

import difflib
import numbers
import operator as operators
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

__all__ = [
    "compute_dtype",
    "require",
    "require_boundary",
    "require_choice",
    "require_kernel",
    "require_pixels",
    "require_rank",
    "suggest",
    "to_flag",
    "to_float",
    "to_not_negative",
    "to_positive_int",
]


def require(ok: bool, message: str) -> None:
    """Raise ``ValueError(message)`` unless ``ok``."""
    if not ok:
        raise ValueError(message)


def to_float(operator: str, name: str, value: ArrayLike) -> Array:
    """Convert ``value`` to an array; TypeError unless it holds floating point numbers."""
    if value is None:
        # Only for a bias, which is added, are zeros equivalent to None.
        hint = ": pass zeros to add nothing." if name.partition("[")[0].endswith("b") else "."
        raise TypeError(f"{operator}: {name} is None, but must be an array{hint}")
    array = jnp.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{operator}: {name} holds {array.dtype}, which has no gradient: convert it to a "
            f"floating point type first, as {name}.astype(jnp.float32)."
        )
    return array


def require_rank(operator: str, name: str, array: Array, axes: str) -> None:
    """Raise ValueError unless ``array`` has the axes in ``axes``, such as ``"N, H, W, C"``."""
    rank = axes.count(",") + 1
    hint = " Add a batch axis: x[None]." if name == "x" and array.ndim == rank - 1 else ""
    require(
        array.ndim == rank,
        f"{operator}: {name} has shape {array.shape}, expected ({axes}).{hint}",
    )


def require_pixels(operator: str, x: Array) -> None:
    """Raise ValueError unless the images of ``x`` have at least one pixel; N may be 0."""
    require(x.shape[1] > 0 and x.shape[2] > 0, f"{operator}: x of shape {x.shape} has no pixels.")


def require_kernel(operator: str, name: str, size: tuple[int, int]) -> None:
    """Raise ValueError unless both sides of a kernel are odd."""
    require(
        all(side >= 1 and side % 2 == 1 for side in size),
        f"{operator}: {name} has a {size[0]}×{size[1]} kernel, but 'same' padding around a centre "
        "needs odd sides: pad the kernel with a row or column of zeros.",
    )


def require_choice(operator: str, name: str, value: Any, choices: Sequence[str | None]) -> None:
    """Raise ValueError, naming the nearest choice, unless ``value`` is one of ``choices``."""
    # Check the type first, because an array would be compared elementwise.
    if (value is None or isinstance(value, str)) and value in choices:
        return
    every = ", ".join(map(repr, choices[:-1])) + f" or {choices[-1]!r}"
    raise ValueError(
        f"{operator}: {name} is {value!r}, but must be {every}{suggest(value, choices)}."
    )


def suggest(value: Any, choices: Sequence[str | None]) -> str:
    """Return a question that names the choice nearest to a misspelt one, or an empty string."""
    names = [choice for choice in choices if choice is not None]
    near = difflib.get_close_matches(value.lower(), names, n=1) if isinstance(value, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""


def require_boundary(operator: str, boundary: str) -> None:
    """Raise ValueError unless ``boundary`` is ``"zeros"`` or ``"edge"``."""
    require_choice(operator, "boundary", boundary, ("zeros", "edge"))


def to_positive_int(operator: str, name: str, value: Any) -> int:
    """Convert a Python or NumPy integer to a Python int of at least 1."""
    if isinstance(value, Tracer):
        raise TypeError(
            f"{operator}: {name} is a traced value, but must be an int known at trace time: mark "
            "it static (static_argnames of jax.jit)."
        )
    if not isinstance(value, bool | np.bool_):
        try:
            number = operators.index(value)
        except TypeError:
            number = 0
        if number >= 1:
            return number
    raise ValueError(f"{operator}: {name} is {value!r}, but must be an int of at least 1.")


def to_flag(operator: str, name: str, value: Any) -> bool:
    """Convert ``value`` to a bool; raise TypeError for anything else, such as a (true) string."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{operator}: {name} is {value!r}, but must be True or False.")
    return bool(value)


def to_not_negative(operator: str, name: str, value: Any) -> float:
    """Convert ``value`` to a finite, non-negative float."""
    number = value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value
    real = isinstance(number, numbers.Real | np.floating) and not isinstance(number, bool)
    require(
        real and 0 <= float(number) < float("inf"),
        f"{operator}: {name} is {value!r}, but must be a number, finite and not negative.",
    )
    return float(number)


def compute_dtype(*arrays: Any) -> jnp.dtype:
    """Return the dtype to compute in: the widest of all arrays in the trees, at least float32."""
    kinds = [array.dtype for array in jax.tree.leaves(arrays)]
    # Promote by our rule, even if the caller has set a stricter promotion for its own arrays.
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(jnp.float32, *kinds)
