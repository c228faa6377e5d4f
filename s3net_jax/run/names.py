"""Make the names of results from the paths of inputs."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

__all__ = ["make_names", "take_free_name"]

# Bytes in a name. File systems allow 255. The longest suffix, ``.agreement.nii.gz``, takes 17, and
# the temporary name of a file during writing takes another 31.
_LONGEST = 200


def make_names(paths: Sequence[Path]) -> list[str]:
    """Make a unique name for each path; names also differ on case-insensitive file systems.

    A name is the path's stem. If several paths share a stem, the names include folders or suffixes.
    Names longer than 200 bytes are cut and end in ``~`` and a hash of the full name.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        groups[path.stem.casefold()].append(index)
    names = [_choose_stem(path) for path in paths]
    for members in groups.values():
        if len(members) > 1:
            for index, name in zip(members, _tell_apart([paths[i] for i in members]), strict=True):
                names[index] = name
    taken: set[str] = set()
    return [take_free_name(_shorten(name), taken) for name in names]


def take_free_name(name: str, taken: set[str]) -> str:
    """Return ``name``, or ``name-N`` if it is taken, and add the result to ``taken``.

    Args:
      name: wanted name.
      taken: case-folded names in use; updated.
    """
    number, unique = 2, name
    while unique.casefold() in taken:
        unique, number = f"{name}-{number}", number + 1
    taken.add(unique.casefold())
    return unique


def _choose_stem(path: Path) -> str:
    """Return the stem, or the name without dots if the stem is a folder, as for ``..png``."""
    return path.stem if path.stem.strip(".") else path.name.strip(".") or "input"


def _shorten(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) <= _LONGEST:
        return name
    start = raw[: _LONGEST - 9].decode("utf-8", "ignore")
    return f"{start}~{hashlib.sha256(raw).hexdigest()[:8]}"


def _tell_apart(paths: list[Path]) -> list[str]:
    """Make names of equal stems unique: prepend as few folders as needed, or append the suffix."""
    absolute = [Path(os.path.abspath(path)) for path in paths]
    same_place = len({str(p.with_suffix("")).casefold() for p in absolute}) < len(absolute)
    suffixes = [f"-{p.suffix[1:]}" if same_place and p.suffix else "" for p in absolute]
    ends = [_choose_stem(p) + end for p, end in zip(absolute, suffixes, strict=True)]
    depth = max(len(p.parts) for p in absolute)
    names = ends
    for level in range(depth):
        folders = [p.parts[1:-1][len(p.parts) - 2 - level :] if level else () for p in absolute]
        names = ["-".join((*f, end)) for f, end in zip(folders, ends, strict=True)]
        if len({name.casefold() for name in names}) == len(names):
            break
    return names
