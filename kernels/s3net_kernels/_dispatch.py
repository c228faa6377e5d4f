"""Choice of an implementation: the best one that serves, or the one that was named.

An implementation of an operator is the module ``s3net_kernels.<operator>.<implementation>``,
which holds a function with the operator's name and arguments (all given, bias None where there
is none), and ``supports(*args, **kwargs) -> str | None``: None, or why it declines these
arguments. It may hold ``unavailable() -> str | None``: None, or why it can serve nothing on
this machine. A module that does not exist is an implementation that is not there yet.
"""

from __future__ import annotations

import functools
import importlib
from types import ModuleType
from typing import Any

import jax
from jax.core import Tracer

from s3net_kernels._check import did_you_mean
from s3net_kernels._varying import alike

__all__ = [
    "IMPLEMENTATIONS",
    "OPERATORS",
    "UnsupportedError",
    "dispatch",
    "implementations",
    "platform_of",
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

_GPU = ("gpu", "cuda", "rocm")
# Best first. ``reference``, slow on purpose, is only ever chosen by name.
_PREFERENCE = {"cpu": ("native", "xla"), "gpu": ("pallas", "xla")}


class UnsupportedError(NotImplementedError):
    """No implementation, or not the one that was named, can serve a call; says why."""


def platform_of(*arrays: Any) -> str:
    """``"cpu"``, ``"gpu"`` or another platform: where a computation on ``arrays`` will run.

    Concrete arrays tell by themselves; otherwise it is JAX's default device.
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


@functools.cache
def _module(operator: str, implementation: str) -> ModuleType | None:
    name = f"s3net_kernels.{operator}.{implementation}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def _unavailable(operator: str, implementation: str) -> str | None:
    """Why an implementation can serve nothing here, or None."""
    module = _module(operator, implementation)
    if module is None:
        return "it is not written for this operator"
    check = getattr(module, "unavailable", None)
    return None if check is None else check()


def implementations() -> dict[str, dict[str, str | None]]:
    """For every operator and implementation: None, or why it is unavailable on this machine."""
    return {op: {name: _unavailable(op, name) for name in IMPLEMENTATIONS} for op in OPERATORS}


def dispatch(operator: str, implementation: str | None, *args: Any, **kwargs: Any) -> Any:
    """Call ``operator`` by the named implementation, or by the best one that serves.

    Raises:
      ValueError: there is no implementation of that name.
      UnsupportedError: the named one, or every candidate, declines; with all the reasons.
    """
    if implementation is None:
        candidates = _PREFERENCE.get(platform_of(*jax.tree.leaves(args)), ("xla",))
    elif isinstance(implementation, str) and implementation in IMPLEMENTATIONS:
        candidates = (implementation,)
    else:
        raise ValueError(
            f"{operator} has no implementation {implementation!r}: take one of "
            f"{', '.join(IMPLEMENTATIONS)}{did_you_mean(implementation, IMPLEMENTATIONS)}."
        )
    args = alike(*args)
    reasons = []
    for name in candidates:
        reason = _unavailable(operator, name)
        module = _module(operator, name)
        if reason is None and module is not None:
            reason = module.supports(*args, **kwargs)
            if reason is None:
                return getattr(module, operator)(*args, **kwargs)
        reasons.append(f"{name}: {reason}")
    raise UnsupportedError(f"{operator} can't be served. {'; '.join(reasons)}.")
