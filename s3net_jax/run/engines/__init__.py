"""Provide the engines that compute the fits of a run."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from s3net_jax.run.engines.base import Engine, LocalEngine

if TYPE_CHECKING:
    from s3net_jax.run.engines.processes import ProcessEngine
    from s3net_jax.run.engines.ray import RayEngine

__all__ = ["Engine", "LocalEngine", "ProcessEngine", "RayEngine"]

# Few runs use these engines, and Ray is optional: import their modules on first use.
_MODULES = {"ProcessEngine": "processes", "RayEngine": "ray"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
