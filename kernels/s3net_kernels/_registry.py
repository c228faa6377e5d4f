"""Register and find implementations of operators, both the package's and users' own.

An implementation of the package is the module ``s3net_kernels.<operator>.<name>``, which has a
function with the operator's name that takes its :mod:`s3net_kernels.operands`. It may have
``supports(operands) -> str | None``, which returns why it declines the call, or None; and
``unavailable() -> str | None``, which returns why it cannot serve any call on this machine, or
None. Without them it serves every valid call. A missing module means that the operator has no such
implementation.
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
    """An implementation of an operator, with its checks."""

    function: Callable[[Any], Any]
    supports: Callable[[Any], str | None]
    unavailable: Callable[[], str | None]
    platforms: tuple[str, ...] | None = None
    prefer: bool = False

    def find_reason(self, operands: Any, platform: str) -> str | None:
        """Return why it cannot serve a call, or None."""
        reason = self.unavailable()
        if reason is None and self.platforms is not None and platform not in self.platforms:
            reason = f"it runs on {' or '.join(self.platforms)}, but the call is on {platform}"
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
    """Find an implementation; return None if it is neither in the package nor registered."""
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
    """List the names of an operator's implementations, the package's first."""
    return (*IMPLEMENTATIONS, *_registered[operator])


def find_preferred(operator: str, platform: str) -> tuple[str, ...]:
    """List registered implementations to try before the package's, the latest first."""
    return tuple(
        name
        for name, found in reversed(_registered[operator].items())
        if found.prefer and (found.platforms is None or platform in found.platforms)
    )


def implementations() -> dict[str, dict[str, str | None]]:
    """List every operator's implementations: name → None, or why it is unavailable here."""
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

    ``implementation=name`` then selects it in calls of the operator, and :func:`implementations`,
    :func:`explain` and :mod:`s3net_kernels.testing` include it. Programs that ``jax.jit`` has
    already compiled keep the implementation they were traced with.

    Args:
      operator: one of :data:`OPERATORS`.
      name: name of the implementation, not yet used by the operator.
      function: function of the operator's operands, an instance of its class in
        :mod:`s3net_kernels.operands` with checked arguments. It returns what the public function
        returns, in the dtype of ``x`` (with ``through``, a pair; for ``softmax_losses``, a tuple
        of both sums and the labels). JAX must be able to trace it and to differentiate it in
        reverse mode: a foreign kernel needs ``jax.custom_vjp`` over the operands as a whole.
      supports: function of the operands that returns None, or why it declines the call, such as
        ``"it supports float32, not bfloat16"``. Arrays may be traced, so only shapes and dtypes are
        known. None serves every valid call.
      unavailable: function that returns None, or why it cannot serve any call on this machine.
      platforms: platforms it runs on, among ``"cpu"``, ``"gpu"`` and ``"tpu"``; None for all.
      prefer: whether calls that name no implementation try it before those of the package.

    Raises:
      ValueError: an unknown operator or platform, or a name that is taken or not a string.
      TypeError: ``function``, ``supports`` or ``unavailable`` is not callable.

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
    """Raise ValueError, naming the nearest operator, unless ``operator`` exists."""
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise ValueError(
            f"There is no operator {operator!r}: choose one of {', '.join(OPERATORS)}"
            f"{suggest(operator, OPERATORS)}."
        )
