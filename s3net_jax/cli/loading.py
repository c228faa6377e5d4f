"""Import modules of the user that register methods and presets: the option ``--load``."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from s3net_jax.errors import UsageError

__all__ = ["load_modules"]


def load_modules(names: Sequence[str]) -> None:
    """Import modules by name, from the current folder or Python's search path.

    Worker processes inherit the search path, and import a module when they receive a configuration
    that it defines.

    Args:
      names: module names, such as ``smooth`` for ``smooth.py``.

    Raises:
      UsageError: a module does not exist, or importing it fails.
    """
    if names and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    for name in names:
        if name.endswith(".py") or os.sep in name:
            stem = os.path.basename(name).removesuffix(".py")
            raise UsageError(
                f"--load takes the name of a module, got {name!r}: run the command in the folder "
                f"of the file, with --load {stem}."
            )
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and name.split(".")[0] == error.name.split(".")[0]:
                raise UsageError(
                    f"--load {name}: there is no module {error.name!r} in the current folder or on "
                    "Python's search path."
                ) from None
            raise UsageError(f"--load {name}: {error}.") from None
        except Exception as error:
            if os.environ.get("S3NET_DEBUG"):
                traceback.print_exc()
            first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
            raise UsageError(
                f"--load {name}: importing the module failed with {type(error).__name__}: {first}."
            ) from None
