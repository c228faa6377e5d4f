"""Names of results, from the paths of what they are made of."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

__all__ = ["make_names", "take_free_name"]

# Bytes of a name. File systems take 255, of which 17 go to ``.agreement.nii.gz``, and 31 to what a
# file is called while it is written.
_LONGEST = 200


def make_names(paths: Sequence[Path]) -> list[str]:
    """Make a name for each path, different even where upper and lower case are the same.

    The stem; equal ones are told apart by the folders they lie in, and by their suffixes. Names
    of more than 200 bytes are cut, and end in ``~`` and a hash of what they were.
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
    """Return ``name``, with a number if ``taken`` holds it in any case, and add it to ``taken``."""
    number, unique = 2, name
    while unique.casefold() in taken:
        unique, number = f"{name}-{number}", number + 1
    taken.add(unique.casefold())
    return unique


def _choose_stem(path: Path) -> str:
    """The stem; of names such as ``..png``, whose stem would be a folder, what is not dots."""
    return path.stem if path.stem.strip(".") else path.name.strip(".") or "input"


def _shorten(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) <= _LONGEST:
        return name
    start = raw[: _LONGEST - 9].decode("utf-8", "ignore")
    return f"{start}~{hashlib.sha256(raw).hexdigest()[:8]}"


def _tell_apart(paths: list[Path]) -> list[str]:
    """Stems with as many folders in front as it takes, or the suffix behind."""
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
