"""Every implementation of every operator: those of the package, and those registered from outside.

An implementation of the package is the module ``s3net_kernels.<operator>.<name>``, which holds a
function with the operator's name that takes its :mod:`s3net_kernels.operands`. It may hold
``supports(operands) -> str | None``: None, or why it declines the call; and
``unavailable() -> str | None``: None, or why it can serve nothing on this machine. Without them it
serves every valid call. A module that does not exist is an implementation that is not there yet.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from s3net_kernels._check import suggest

__all__ = [
    "IMPLEMENTATIONS",
    "OPERATORS",
    "Implementation",
    "check_operator",
    "find_implementation",
    "find_preferred",
    "implementations",
    "list_names",
    "register_implementation",
    "unregister_implementation",
]

OPERATORS = (
    "depthwise_conv2d",
    "inception_depthwise",
    "deform_conv2d",
    "bilinear_sample",
    "affine_warp",
    "linear",
    "batch_norm",
    "linear_norm",
    "gated_inception",
    "conv2d",
    "softmax_losses",
)
IMPLEMENTATIONS = ("reference", "xla", "native", "pallas")


class Implementation(NamedTuple):
    """What computes an operator, and what is asked before."""

    function: Callable[[Any], Any]
    supports: Callable[[Any], str | None]
    unavailable: Callable[[], str | None]
    platforms: tuple[str, ...] | None = None
    prefer: bool = False

    def find_reason(self, operands: Any, platform: str) -> str | None:
        """Say why it can't serve a call, or return None."""
        reason = self.unavailable()
        if reason is None and self.platforms is not None and platform not in self.platforms:
            reason = f"it runs on {' or '.join(self.platforms)}, and the call on {platform}"
        return self.supports(operands) if reason is None else reason


_registered: dict[str, dict[str, Implementation]] = {operator: {} for operator in OPERATORS}


def _accept(*_: Any) -> None:
    """Decline nothing."""


@functools.cache
def _import(operator: str, name: str) -> ModuleType | None:
    path = f"s3net_kernels.{operator}.{name}"
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        return None


def find_implementation(operator: str, name: str) -> Implementation | None:
    """Find an implementation, or None where the package has not written it."""
    if name in _registered[operator]:
        return _registered[operator][name]
    module = _import(operator, name)
    if module is None:
        return None
    supports = getattr(module, "supports", _accept)
    return Implementation(
        getattr(module, operator), supports, getattr(module, "unavailable", _accept)
    )


def list_names(operator: str) -> tuple[str, ...]:
    """List the names of an operator's implementations, those of the package first."""
    return (*IMPLEMENTATIONS, *_registered[operator])


def find_preferred(operator: str, platform: str) -> tuple[str, ...]:
    """List the registered implementations to try before the package's, the latest first."""
    return tuple(
        name
        for name, found in reversed(_registered[operator].items())
        if found.prefer and (found.platforms is None or platform in found.platforms)
    )


def implementations() -> dict[str, dict[str, str | None]]:
    """List, for every operator, its implementations: None, or why one is unavailable here."""
    return {
        operator: {name: _find_unavailable(operator, name) for name in list_names(operator)}
        for operator in OPERATORS
    }


def _find_unavailable(operator: str, name: str) -> str | None:
    found = find_implementation(operator, name)
    return "it is not written for this operator" if found is None else found.unavailable()


def register_implementation(
    operator: str,
    name: str,
    function: Callable[[Any], Any],
    *,
    supports: Callable[[Any], str | None] | None = None,
    unavailable: Callable[[], str | None] | None = None,
    platforms: Sequence[str] | None = None,
    prefer: bool = False,
) -> None:
    """Add an implementation of an operator.

    From then on, ``implementation=name`` selects it in a call of the operator, and
    :func:`implementations`, :func:`explain` and :mod:`s3net_kernels.testing` know it. A program
    that ``jax.jit`` has compiled before keeps the implementation it was traced with.

    Args:
      operator: one of :data:`OPERATORS`.
      name: name of the implementation; not one that the operator already has.
      function: takes the operator's operands, an instance of its class in
        :mod:`s3net_kernels.operands` whose arguments are checked, and returns what the public
        function returns, in the dtype of ``x`` (with ``through``, a pair; for ``softmax_losses``, a
        tuple of both sums and the labels). JAX must be able to trace it, and to differentiate it in
        reverse mode: a foreign kernel needs ``jax.custom_vjp``, over the operands as a whole.
      supports: takes the operands and returns None, or why it declines the call, such as ``"it
        takes float32, not bfloat16"``; arrays may be traced, so only shapes and dtypes are known.
        By default it serves every valid call.
      unavailable: returns None, or why it can serve nothing on this machine.
      platforms: platforms it runs on, of ``"cpu"``, ``"gpu"`` and ``"tpu"``; None for all.
      prefer: whether calls that name no implementation try it before those of the package.

    Raises:
      ValueError: an unknown operator or platform, or a name that is taken or no string.
      TypeError: a function that can't be called.

    >>> import jax.numpy as jnp
    >>> import s3net_kernels as sk
    >>> def multiply(o):
    ...     return o.x @ o.w
    >>> def supports(o):
    ...     plain = o.b is None and o.residual is None and not (o.activation or o.through)
    ...     return None if plain else "it only multiplies"
    >>> sk.register_implementation("linear", "matmul", multiply, supports=supports)
    >>> sk.linear(jnp.ones((2, 3)), jnp.ones((3, 1)), implementation="matmul").tolist()
    [[3.0], [3.0]]
    >>> sk.unregister_implementation("linear", "matmul")
    """
    check_operator(operator)
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be a string that is not empty, got {name!r}.")
    if name in list_names(operator):
        advice = "" if name in IMPLEMENTATIONS else ", or unregister the other first"
        raise ValueError(
            f"{operator} already has an implementation {name!r}: choose another name{advice}."
        )
    for label, value in (
        ("function", function),
        ("supports", supports),
        ("unavailable", unavailable),
    ):
        if not callable(value) and (value is not None or label == "function"):
            raise TypeError(f"{label} of {name!r} must be a function, got {value!r}.")
    known = ("cpu", "gpu", "tpu")
    unknown = [p for p in platforms or () if p not in known]
    if isinstance(platforms, str) or unknown:
        wrong = platforms if isinstance(platforms, str) else unknown[0]
        raise ValueError(
            f"platforms of {name!r} must be a tuple of {', '.join(map(repr, known))}, got "
            f"{wrong!r}{suggest(wrong, known)}."
        )
    _registered[operator][name] = Implementation(
        function,
        supports or _accept,
        unavailable or _accept,
        None if platforms is None else tuple(platforms),
        prefer,
    )


def unregister_implementation(operator: str, name: str) -> None:
    """Remove an implementation that :func:`register_implementation` added.

    Raises:
      ValueError: an unknown operator, or no registered implementation of that name.
    """
    check_operator(operator)
    if name not in _registered[operator]:
        raise ValueError(
            f"{operator} has no registered implementation {name!r}"
            f"{suggest(name, tuple(_registered[operator]))}."
        )
    del _registered[operator][name]


def check_operator(operator: str) -> None:
    """Raise ValueError, naming the nearest operator, unless there is one of that name."""
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise ValueError(
            f"There is no operator {operator!r}: choose one of {', '.join(OPERATORS)}"
            f"{suggest(operator, OPERATORS)}."
        )
