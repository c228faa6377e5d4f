"""Finding the shared library, and loading it.

The library has no Python ABI, so one file serves every Python version. ``pip install`` builds
it where there is a C++ compiler; in a checkout ``CMakeLists.txt`` says how. The environment
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
"""Of the handlers' operands, results and attributes; must equal that of the library."""

INSTRUCTION_SETS = ("baseline", "avx2", "avx512")


@functools.cache
def load() -> ctypes.CDLL | str:
    """The library, or why there is none."""
    # More than one folder where an editable install keeps what it built elsewhere.
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
        return f"its library can't be loaded ({error})"
    try:
        found = int(library.s3n_version())
    except AttributeError:
        return f"{path} is another library than that of the kernels"
    if found != VERSION:
        return f"its library is version {found}, version {VERSION} is needed: build it again"
    library.s3n_isa.restype = ctypes.c_char_p
    library.s3n_tiles.restype = ctypes.c_int
    library.s3n_set_isa.argtypes = [ctypes.c_char_p]
    return library


def instruction_set() -> str | None:
    """The instruction set in use, or None without a library."""
    library = load()
    return None if isinstance(library, str) else library.s3n_isa().decode()


def multiplies_bfloat16() -> bool:
    """Whether products of bfloat16 have hardware of their own here that the library uses (AMX)."""
    library = load()
    return not isinstance(library, str) and bool(library.s3n_tiles())


def use_instruction_set(name: str) -> None:
    """Use a narrower instruction set than the widest this processor has; for tests.

    Raises:
      ValueError: the processor or the library does not have it.
    """
    library = load()
    if isinstance(library, str) or not library.s3n_set_isa(name.encode()):
        raise ValueError(f"The instruction set {name!r} is not available here.")
