"""Choose an implementation: the named one, or the best one that can serve a call."""

from __future__ import annotations

import importlib
import warnings
from contextvars import ContextVar
from typing import Any, NamedTuple

import jax

from s3net_kernels._check import suggest
from s3net_kernels._platform import find_platform
from s3net_kernels._registry import (
    check_operator,
    find_implementation,
    find_preferred,
    list_names,
)
from s3net_kernels._varying import vary_alike

__all__ = ["Explanation", "FallbackWarning", "UnsupportedError", "decide", "dispatch", "explain"]

# Best first. ``reference`` is slow by design and used only if named.
_PREFERENCE = {"cpu": ("native", "xla"), "gpu": ("pallas", "xla")}


class UnsupportedError(NotImplementedError):
    """No implementation, or not the named one, can serve a call; the message says why."""


class FallbackWarning(UserWarning):
    """An operator falls back to plain XLA because its own kernels cannot serve the call.

    Each reason is reported once per process. To silence the warning, name
    ``implementation="xla"``, or call
    ``warnings.simplefilter("ignore", s3net_kernels.FallbackWarning)``.
    """


class Explanation(NamedTuple):
    """The implementation that a call takes, and why the others cannot serve it."""

    operator: str
    platform: str
    """Platform where the call runs: ``"cpu"``, ``"gpu"`` or another one."""
    chosen: str | None
    """Implementation that the call takes; None if it raises :class:`UnsupportedError`."""
    reasons: dict[str, str | None]
    """Implementation → None if it can serve the call, or the reason it cannot; candidates first."""

    def __str__(self) -> str:
        width = max(map(len, self.reasons))
        lines = [f"{self.operator} on {self.platform}: {self.chosen or 'no implementation'}"]
        for name, reason in self.reasons.items():
            lines.append(f"  {name:{width}}  {'can serve the call' if reason is None else reason}")
        return "\n".join(lines)


class _ExplainedError(Exception):
    """Carry an explanation out of a public function that was called only to be explained."""

    def __init__(self, explanation: Explanation) -> None:
        super().__init__()
        self.explanation = explanation


_explaining: ContextVar[bool] = ContextVar("explaining", default=False)
_announced: set[tuple[str, str]] = set()


def decide(
    operator: str, implementation: str | None, operands: Any, *, ask_all: bool = False
) -> Explanation:
    """Choose the first candidate that can serve a call.

    Args:
      operator: name of the operator.
      implementation: name of the only candidate, or None for those of the platform, best first.
      operands: operands of the call.
      ask_all: whether to ask the implementations after the chosen one, too.

    Returns:
      The choice, with the reasons against the others.

    Raises:
      ValueError: no implementation has that name.
    """
    platform, names = find_platform(*jax.tree.leaves(operands)), list_names(operator)
    if implementation is None:
        own = _PREFERENCE.get(platform, ("xla",))
        candidates = (*find_preferred(operator, platform), *own)
    elif isinstance(implementation, str) and implementation in names:
        candidates = (implementation,)
    else:
        raise ValueError(
            f"{operator} has no implementation {implementation!r}: use one of "
            f"{', '.join(names)}{suggest(implementation, names)}."
        )
    chosen, reasons = None, {}
    for name in dict.fromkeys((*candidates, *names) if ask_all else candidates):
        found = find_implementation(operator, name)
        missing = "it is not written for this operator"
        reasons[name] = missing if found is None else found.find_reason(operands, platform)
        if reasons[name] is None and name in candidates and chosen is None:
            chosen = name
            if not ask_all:
                break
    return Explanation(operator, platform, chosen, reasons)


def dispatch(operator: str, implementation: str | None, operands: Any) -> Any:
    """Call ``operator`` with the named implementation, or the best one that can serve the call.

    Raises:
      ValueError: no implementation has that name.
      UnsupportedError: the named implementation, or every candidate, declines; lists the reasons.
    """
    if _explaining.get():
        raise _ExplainedError(decide(operator, implementation, operands, ask_all=True))
    operands = vary_alike(operands)
    found = decide(operator, implementation, operands)
    chosen = None if found.chosen is None else find_implementation(operator, found.chosen)
    if chosen is None:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.reasons.items())
        raise UnsupportedError(f"No implementation can serve {operator}. {reasons}.")
    if implementation is None and found.chosen == "xla":
        _announce_fallback(found, operands)
    return chosen.function(operands)


def _announce_fallback(found: Explanation, operands: Any) -> None:
    """Warn once per reason when plain XLA replaces the platform's kernels."""
    kernels, *rest = _PREFERENCE.get(found.platform, ("xla",))
    reason = found.reasons.get(kernels)
    if not rest or reason is None or any(leaf.size == 0 for leaf in jax.tree.leaves(operands)):
        return
    where, subject = found.platform.upper(), found.operator
    if found.platform == "cpu":
        # A few declined calls cost little on a CPU; a missing library slows down every operator.
        native = find_implementation(found.operator, kernels)
        if native is None or native.unavailable() is None:
            return
        subject = "The operators of s3net_kernels"
    if (subject, reason) in _announced:
        return
    _announced.add((subject, reason))
    verb = "compute" if found.platform == "cpu" else "computes"
    warnings.warn(
        f"{subject} {verb} in plain XLA on this {where}, which is slower than {kernels}: {reason}. "
        "s3net_kernels.explain shows which implementation a call takes.",
        FallbackWarning,
        stacklevel=4,  # the caller of the public function
    )


def explain(operator: str, *args: Any, **kwargs: Any) -> Explanation:
    """Explain which implementation a call takes, and why the others cannot serve it.

    Nothing is computed. The decision is the one the call would make now: it depends on the arrays'
    devices or JAX's default device, and on the settings of :func:`config`.

    Args:
      operator: one of :data:`OPERATORS`.
      *args: positional arguments of the operator's public function; ``jax.ShapeDtypeStruct``
        suffices for arrays.
      **kwargs: keyword arguments; ``implementation`` limits the candidates to one.

    Returns:
      An :class:`Explanation`; ``print`` shows it line by line.

    Raises:
      ValueError: an unknown operator, or an error of the call itself.
      TypeError: an error of the call itself.

    >>> import jax
    >>> x = jax.ShapeDtypeStruct((1, 8, 8, 3), "float32")
    >>> w = jax.ShapeDtypeStruct((3, 3, 3, 4), "float32")
    >>> explain("conv2d", x, w, implementation="xla").chosen
    'xla'
    """
    check_operator(operator)
    function = getattr(importlib.import_module(f"s3net_kernels.{operator}.api"), operator)
    leaves, form = jax.tree.flatten((args, kwargs))
    shapes = {n: a for n, a in enumerate(leaves) if isinstance(a, jax.ShapeDtypeStruct)}

    def call(arrays: dict[int, Any]) -> None:
        args, kwargs = form.unflatten([arrays.get(n, leaf) for n, leaf in enumerate(leaves)])
        function(*args, **kwargs)

    token = _explaining.set(True)
    try:
        if shapes:
            jax.eval_shape(call, shapes)
        else:
            call({})
    except _ExplainedError as found:
        return found.explanation
    finally:
        _explaining.reset(token)
    raise AssertionError(f"{operator} did not call an implementation.")
