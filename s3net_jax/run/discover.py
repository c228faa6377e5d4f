"""From what a user names (files, folders, patterns) to a list of images with names of their own."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["OUTPUT_KINDS", "SUFFIXES", "Source", "discover"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
"""What is taken from a folder; a file named by itself may have any suffix."""

OUTPUT_KINDS = ("labels", "mask", "overlay")
"""``STEM.KIND.png`` are results, and never taken from a folder as inputs."""


@dataclass(frozen=True)
class Source:
    """One input: its file, the stem of its results, and what is wrong with it, if anything."""

    path: Path
    stem: str
    problem: str | None = None


def discover(inputs: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The images that ``inputs`` name, in the order given, each once.

    A folder stands for the PNG, JPEG, BMP and TIFF files directly in it, in natural order
    (2 before 10), without hidden files and without results of this tool. A pattern
    (``*``, ``?``, ``[...]``, ``**``) stands for what it matches. What does not exist, or holds
    no image, is listed with its problem. Equal stems are told apart by the folders they lie
    in, and by their suffixes.
    """
    found: list[tuple[Path, str | None]] = []
    for given in inputs:
        found += _expand(Path(given))
    unique: dict[str, tuple[Path, str | None]] = {}
    for path, problem in found:
        unique.setdefault(os.path.realpath(path), (path, problem))
    items = list(unique.values())
    stems = _stems([path for path, _ in items])
    return [Source(p, stem, problem) for (p, problem), stem in zip(items, stems, strict=True)]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers inside names by value."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def _expand(path: Path) -> list[tuple[Path, str | None]]:
    if path.is_dir():
        files = [p for p in path.iterdir() if _is_image(p)]
        if not files:
            return [(path, f"{path} holds no PNG, JPEG, BMP or TIFF file.")]
        return [(p, None) for p in sorted(files, key=natural_key)]
    if not path.exists() and glob.has_magic(str(path)):
        matches = [Path(p) for p in glob.glob(str(path), recursive=True)]
        files = [p for p in matches if p.is_file() and not _is_result(p)]
        if not files:
            return [(path, f"{path} matches no file.")]
        return [(p, None) for p in sorted(files, key=natural_key)]
    return [(path, None)]


def _is_image(path: Path) -> bool:
    named = path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    return named and path.is_file() and not _is_result(path)


def _is_result(path: Path) -> bool:
    return path.name.endswith(tuple(f".{kind}.png" for kind in OUTPUT_KINDS))


def _stems(paths: list[Path]) -> list[str]:
    """A name for each path, different even where upper and lower case are the same."""
    groups: dict[str, list[int]] = defaultdict(list)
    for index, path in enumerate(paths):
        groups[path.stem.casefold()].append(index)
    names = [path.stem or path.name or "input" for path in paths]
    for members in groups.values():
        if len(members) > 1:
            for index, name in zip(members, _told_apart([paths[i] for i in members]), strict=True):
                names[index] = name
    taken: set[str] = set()
    for index, name in enumerate(names):
        number, unique = 2, name
        while unique.casefold() in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique.casefold())
        names[index] = unique
    return names


def _told_apart(paths: list[Path]) -> list[str]:
    """Stems with as many folders in front as it takes, or the suffix behind."""
    absolute = [Path(os.path.abspath(path)) for path in paths]
    same_place = len({str(p.with_suffix("")).casefold() for p in absolute}) < len(absolute)
    ends = [p.stem + (f"-{p.suffix[1:]}" if same_place and p.suffix else "") for p in absolute]
    depth = max(len(p.parts) for p in absolute)
    names = ends
    for level in range(depth):
        folders = [p.parts[1:-1][len(p.parts) - 2 - level :] if level else () for p in absolute]
        names = ["-".join((*f, end)) for f, end in zip(folders, ends, strict=True)]
        if len({name.casefold() for name in names}) == len(names):
            break
    return names
