"""Packages that only some inputs need."""

from __future__ import annotations

import importlib
from typing import Any

from s3net_jax.errors import InputError

__all__ = ["import_extra"]


def import_extra(package: str, what: str) -> Any:
    """The module ``package``; raises :class:`InputError` that says how to install it."""
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(
            f"{what}, for which {package} is needed: pip install 's3net-jax[medical]'."
        ) from None
