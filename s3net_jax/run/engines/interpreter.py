"""Find the Python interpreter for worker processes."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import spawn

from s3net_jax.errors import ConfigError

__all__ = ["find_interpreter"]


def find_interpreter() -> list[str]:
    """Find the interpreter of this process and its options (``-O``, ``-I``, ``-W``, ...).

    If this process is a program that embeds Python, uses the interpreter given to
    ``multiprocessing.set_executable``, or the one of the same installation.

    Returns:
      Path of the interpreter, followed by options.

    Raises:
      ConfigError: no interpreter is found.
    """
    if getattr(sys, "frozen", False):
        raise ConfigError(
            "--engine processes starts Python interpreters, but a frozen program has none: drop "
            "--engine."
        )
    folder = os.path.join(sys.exec_prefix, "Scripts" if os.name == "nt" else "bin")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    named = os.fsdecode(spawn.get_executable() or "")
    installed = [os.path.join(folder, name) for name in (version, "python3", "python.exe")]
    base = getattr(sys, "_base_executable", None) or ""
    for path in (*filter(_is_python, (named, base)), *installed):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return [path, *_list_options()]
    raise ConfigError(
        "--engine processes starts Python interpreters, but none was found "
        f"(sys.executable is {sys.executable!r}): drop --engine."
    )


def _is_python(path: str) -> bool:
    return os.path.basename(path).lower().startswith(("python", "pypy"))


def _list_options() -> list[str]:
    """List the options of this process; [] if the standard library's private function is gone."""
    passed_on = getattr(subprocess, "_args_from_interpreter_flags", list)
    return passed_on()
