"""Limits on the size of decoded files, the same for every format."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from s3net_jax.errors import ConfigError, InputError

__all__ = [
    "Limits",
    "check_bytes",
    "check_pages",
    "check_pixels",
    "compute_allowed_bytes",
    "get_limits",
    "limits",
    "make_bytes_error",
    "measure_stored_bytes",
    "parse_size",
    "set_limits",
]

VOLUME_FACTOR = 5
"""Largest number of voxels of a volume, as a multiple of ``max_pixels``. The default of 500 million
voxels is a CT with 1,900 slices of 512×512."""

# Default of max_bytes. Every file may take 256 MiB: a process that has imported JAX then stays
# below 1 GB. Files above 2.7 MB may take 100 times their size: reading takes 4 to 16 bytes per
# pixel, and photographs, CT and MR are stored in 0.1 to 4 bytes per pixel.
_FLOOR = 256 << 20
_RATIO = 100
_EXTENTS = 4096  # extents of a sparse file that are measured; bounds the number of system calls

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


@dataclass(frozen=True)
class Limits:
    """Limits that apply to each file that is read.

    Attributes:
      max_pixels: largest number of pixels of one image, page, frame or slice, at least 1; a
        volume may have five times as many voxels.
      max_bytes: largest number of bytes that decoding may need, at least 1, including unpacked
        data and conversions; None allows 256 MiB or 100 times the file size, whichever is more.
      max_pages: largest number of pages or frames in one file, at least 1.
    """

    max_pixels: int = 100_000_000
    max_bytes: int | None = None
    max_pages: int = 4_000

    def __post_init__(self) -> None:
        for name in ("max_pixels", "max_bytes", "max_pages"):
            value = getattr(self, name)
            if value is None and name == "max_bytes":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}.")

    @property
    def max_voxels(self) -> int:
        """Largest number of voxels of a volume."""
        return VOLUME_FACTOR * self.max_pixels


# One value for the whole process rather than a context variable, which threads that read files
# would not inherit.
_current = Limits()


def get_limits() -> Limits:
    """Return the current limits."""
    return _current


def set_limits(new: Limits) -> None:
    """Set the limits of this process."""
    global _current
    _current = new


@contextmanager
def limits(
    *, max_pixels: int | None = None, max_bytes: int | None = None, max_pages: int | None = None
) -> Iterator[Limits]:
    """Change limits inside a ``with`` block, for all threads of the process.

    Args:
      max_pixels, max_bytes, max_pages: new limits, see :class:`Limits`; None keeps the current
        value.

    Raises:
      ConfigError: a limit is below 1 or not a whole number.
    """
    given = {"max_pixels": max_pixels, "max_bytes": max_bytes, "max_pages": max_pages}
    before = _current
    set_limits(replace(before, **{k: v for k, v in given.items() if v is not None}))
    try:
        yield _current
    finally:
        set_limits(before)


def parse_size(text: str, option: str) -> int:
    """Parse a size: a number, optionally followed by K, M or G for powers of 1000.

    Args:
      text: text to parse, such as ``400M``.
      option: name of the option, for messages.

    Raises:
      ConfigError: ``text`` is not a whole number of at least 1 in this form.
    """
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,9})?)([kKmMgG]?)", text.strip(), re.ASCII)
    number = float(found[1]) * _UNITS[found[2].lower()] if found else 0.0
    if not found or number < 1 or number != int(number):
        raise ConfigError(
            f"{option} must be a whole number of at least 1, such as 400000000 or 400M, got "
            f"{text!r}."
        )
    return int(number)


def check_pixels(name: str, width: int, height: int) -> None:
    """Raise :class:`InputError` if an image has more than ``max_pixels`` pixels."""
    limit = _current.max_pixels
    if width * height > limit:
        raise InputError(
            f"{name} has {width}×{height} pixels, above the limit of {_format_number(limit)} "
            f"pixels: shrink or crop it first, or raise the limit ({_name_option('max_pixels')})."
        )


def check_pages(name: str, count: int, kind: str = "pages") -> None:
    """Raise :class:`InputError` if a file has more than ``max_pages`` pages or frames."""
    limit = _current.max_pages
    if count > limit:
        raise InputError(
            f"{name} has more than {limit:,} {kind}: split it first, or raise the limit "
            f"({_name_option('max_pages')})."
        )


def check_bytes(name: str, needed: float, size: int) -> None:
    """Raise :class:`InputError` if decoding a file of ``size`` bytes needs too much memory."""
    if needed > compute_allowed_bytes(size):
        raise make_bytes_error(name, size, needed)


def compute_allowed_bytes(size: int) -> int:
    """Return how many bytes decoding a file of ``size`` bytes may need."""
    return _current.max_bytes or max(_FLOOR, _RATIO * size)


def make_bytes_error(name: str, size: int, needed: float | None = None) -> InputError:
    """Return the error for a file that needs more memory than allowed.

    Args:
      name: name of the file in messages.
      size: size of the file in bytes.
      needed: bytes that decoding needs, or None if unknown.
    """
    takes = (
        f"about {_format_amount(needed)}"
        if needed is not None and math.isfinite(needed)
        else "more"
    )
    return InputError(
        f"{name} has {_format_amount(size)} and would need {takes} of memory, above the limit of "
        f"{_format_amount(compute_allowed_bytes(size))}: it may be damaged or malicious; if you "
        f"trust it, raise the limit ({_name_option('max_bytes')})."
    )


def measure_stored_bytes(path: Path) -> int:
    """Return the size of a file in bytes, without the holes of a sparse file.

    A hole takes no space on disk, so a small malicious file could otherwise claim a large size
    and with it a high memory limit.
    """
    size = path.stat().st_size
    if size * _RATIO <= _FLOOR or not hasattr(os, "SEEK_HOLE"):
        return size
    try:
        with path.open("rb") as file:
            return _measure_extents(file.fileno(), size)
    except OSError:  # the file system does not support SEEK_HOLE
        return size


def _measure_extents(handle: int, size: int) -> int:
    end = total = 0
    for _ in range(_EXTENTS):
        try:
            start = os.lseek(handle, end, os.SEEK_DATA)
        except OSError:  # ENXIO: only a hole follows
            return total
        end = os.lseek(handle, start, os.SEEK_HOLE)
        total += end - start
        if end >= size:
            return total
    return total + size - end


def _name_option(name: str) -> str:
    return f"--{name.replace('_', '-')}, or s3net_jax.io.limits({name}=...)"


def _format_number(count: int) -> str:
    return f"{count // 10**6:,} million" if count % 10**6 == 0 else f"{count:,}"


def _format_amount(count: float) -> str:
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{int(count)} bytes"
