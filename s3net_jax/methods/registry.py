"""Find methods by their names; modules of built-in ones are imported when they are used."""

from __future__ import annotations

import importlib

from s3net_jax.config import make_method_config, register_method_config
from s3net_jax.methods.base import Method

__all__ = ["get_method", "list_methods", "register_method"]

_MODULES: dict[str, str] = {
    "s3net": "s3net",
    "sgscn": "sgscn",
    "dfc": "dfc",
    "slic-backprop": "slic_backprop",
    "ms-former": "ms_former",
    "iic": "iic.method",
    "deepcluster": "deepcluster",
}
"""Name of a built-in method → its module in this package, which has it as ``METHOD``."""

_registered: dict[str, Method] = {}


def register_method(method: Method) -> Method:
    """Make a method known by the name in its configuration class.

    Its configurations then work in every function and command that runs in this process; the
    option ``--load MODULE`` of the command imports a module that registers one.

    Raises:
      ValueError: another method has that name.
      TypeError: ``method`` is not a :class:`Method`, or its configuration class is not suitable.
    """
    if not isinstance(method, Method):
        raise TypeError(f"register_method takes a Method, not a {type(method).__name__}.")
    register_method_config(method.config)
    if method.name in _MODULES:
        raise ValueError(f"{method.name!r} is a method of s3net_jax: choose another name.")
    _registered[method.name] = method
    return method


def get_method(name: str) -> Method:
    """Return the method called ``name``.

    Raises:
      ConfigError: no method has that name.
    """
    if name in _registered:
        return _registered[name]
    if name not in _MODULES:
        make_method_config(name)  # raises for an unknown name
        raise TypeError(f"The method {name!r} has a configuration but is not registered.")
    return importlib.import_module(f"s3net_jax.methods.{_MODULES[name]}").METHOD


def list_methods() -> list[str]:
    """List the names of all methods."""
    return [*_MODULES, *(name for name in _registered if name not in _MODULES)]
