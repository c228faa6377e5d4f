"""Find and load the shared library.

The library has no Python ABI, so one file serves every Python version. ``pip install`` builds it
if a C++ compiler is available; a checkout builds it with ``CMakeLists.txt``. The environment
variable ``S3NET_KERNELS_LIBRARY`` names another file, such as one built with sanitizers.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

__all__ = [
    "INSTRUCTION_SETS",
    "VERSION",
    "instruction_set",
    "load",
    "multiplies_bfloat16",
    "use_instruction_set",
]

VERSION = 4
"""Version of the handlers' operands, results and attributes; must equal the library's."""

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


@functools.cache
def load() -> ctypes.CDLL | str:
    """Load the library; return it, or the reason it is not available."""
    # The package has more than one folder if an editable install builds outside the source tree.
    import s3net_kernels._native as package

    named = os.environ.get("S3NET_KERNELS_LIBRARY")
    places = [Path(folder) / "libs3net_kernels.so" for folder in package.__path__]
    for path in [Path(named)] if named else places:
        if path.is_file():
            break
    else:
        if named:
            return f"S3NET_KERNELS_LIBRARY names {named}, and there is no such file"
        return (
            "its library was not built: install s3net-jax where there is a C++17 compiler "
            "(GCC or Clang)"
        )
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        return f"its library cannot be loaded ({error})"
    try:
        found = int(library.s3n_version())
    except AttributeError:
        return f"{path} is not a library of these kernels"
    if found != VERSION:
        return f"its library is version {found}, but version {VERSION} is needed: rebuild it"
    library.s3n_isa.restype = ctypes.c_char_p
    library.s3n_tiles.restype = ctypes.c_int
    library.s3n_set_isa.argtypes = [ctypes.c_char_p]
    return library


def instruction_set() -> str | None:
    """Return the instruction set in use, or None without a library."""
    library = load()
    return None if isinstance(library, str) else library.s3n_isa().decode()


def multiplies_bfloat16() -> bool:
    """Return whether the library multiplies bfloat16 with dedicated hardware (AMX) here."""
    library = load()
    return not isinstance(library, str) and bool(library.s3n_tiles())


def use_instruction_set(name: str) -> None:
    """Select a narrower instruction set than the processor's widest; for tests.

    Raises:
      ValueError: the processor or the library does not support it.
    """
    library = load()
    if isinstance(library, str) or not library.s3n_set_isa(name.encode()):
        raise ValueError(f"The instruction set {name!r} is not available here.")
