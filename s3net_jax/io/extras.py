"""Import optional packages that only some inputs need."""

from __future__ import annotations

import importlib
from typing import Any

from s3net_jax.errors import InputError

__all__ = ["import_extra"]


def import_extra(package: str, what: str) -> Any:
    """Import and return ``package``.

    Args:
      package: name of the module.
      what: clause for the message, such as ``scan.nii is a NIfTI volume``.

    Raises:
      InputError: the package is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise InputError(
            f"{what}, which requires {package}: pip install 's3net-jax[medical]'."
        ) from None
