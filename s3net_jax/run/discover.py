"""From what a user names (files, folders, patterns) to a list of inputs with names of their own."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s3net_jax.io.dicom import is_dicom, series_of
from s3net_jax.io.nifti import is_nifti
from s3net_jax.io.stack import is_stack

__all__ = ["RESULT_KINDS", "SUFFIXES", "Kind", "Source", "discover"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz")
"""What is taken from a folder, beside DICOM; a file named by itself may have any suffix."""

RESULT_KINDS = ("labels", "mask", "overlay", "agreement", "seg", "history", "steps")
"""``STEM.KIND.*`` are results, and never taken from a folder as inputs."""

Kind = Literal["image", "stack", "nifti", "dicom"]
_NOTHING = "no PNG, JPEG, BMP, TIFF, NIfTI or DICOM file"


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
      path: its file, or the folder of a DICOM series of several files.
      stem: of its results' names.
      problem: what is wrong with it, if anything.
      kind: how it is read.
      files: those of a DICOM series.
    """

    path: Path
    stem: str
    problem: str | None = None
    kind: Kind = "image"
    files: tuple[Path, ...] = ()


def discover(inputs: Iterable[str | os.PathLike[str]]) -> list[Source]:
    """The images and volumes that ``inputs`` name, in the order given, each once.

    A folder stands for the PNG, JPEG, BMP, TIFF, NIfTI and DICOM files directly in it, in
    natural order (2 before 10), without hidden files and without results of this tool. A pattern
    (``*``, ``?``, ``[...]``, ``**``) stands for what it matches. DICOM files of one series are
    one input, and so is a TIFF file of several equal pages. What does not exist, or holds
    nothing, is listed with its problem. Equal stems are told apart by the folders they lie in,
    and by their suffixes.
    """
    found: list[tuple[Path, str | None]] = []
    for given in inputs:
        found += _expand(Path(given))
    unique: dict[str, tuple[Path, str | None]] = {}
    for path, problem in found:
        unique.setdefault(os.path.realpath(path), (path, problem))
    sources = _grouped(list(unique.values()))
    stems = _stems([_named(source) for source in sources])
    return [
        Source(s.path, stem, s.problem, s.kind, s.files)
        for s, stem in zip(sources, stems, strict=True)
    ]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers inside names by value."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def _expand(path: Path) -> list[tuple[Path, str | None]]:
    if path.is_dir():
        files = [p for p in path.iterdir() if _is_input(p)]
        if not files:
            return [(path, f"{path} holds {_NOTHING}.")]
        return [(p, None) for p in sorted(files, key=natural_key)]
    if not path.exists() and glob.has_magic(str(path)):
        matches = [Path(p) for p in glob.glob(str(path), recursive=True)]
        files = [p for p in matches if p.is_file() and not _is_result(p)]
        if not files:
            return [(path, f"{path} matches no file.")]
        return [(p, None) for p in sorted(files, key=natural_key)]
    return [(path, None)]


def _is_input(path: Path) -> bool:
    if path.name.startswith(".") or not path.is_file() or _is_result(path):
        return False
    return path.name.lower().endswith(SUFFIXES) or is_dicom(path)


def _is_result(path: Path) -> bool:
    return bool(re.search(rf"\.({'|'.join(RESULT_KINDS)})\.(png|nii\.gz|tif|dcm|json)$", path.name))


def _grouped(found: list[tuple[Path, str | None]]) -> list[Source]:
    """Every file with its kind; the files of a DICOM series as one source, at its first file."""
    kinds: dict[Path, Kind] = {p: _kind(p) for p, problem in found if problem is None}
    series = series_of(p for p, kind in kinds.items() if kind == "dicom")
    leaders = {files[0]: files for files in series}
    followers = {p for files in series for p in files[1:]}
    sources = []
    for path, problem in found:
        if problem is not None:
            sources.append(Source(path, "", problem))
        elif path in leaders:
            files = leaders[path]
            place = path if len(files) == 1 else path.parent
            sources.append(Source(place, "", None, "dicom", tuple(files)))
        elif path not in followers:
            sources.append(Source(path, "", None, kinds[path]))
    return sources


def _kind(path: Path) -> Kind:
    if is_nifti(path):
        return "nifti"
    if path.is_file() and is_dicom(path):
        return "dicom"
    return "stack" if is_stack(path) else "image"


def _named(source: Source) -> Path:
    """The path that names the results: ``scan.nii.gz`` as ``scan.gz``, a series by its folder."""
    path = source.path
    if path.name.lower().endswith(".nii.gz"):
        return path.with_name(path.name[: -len(".nii.gz")] + ".gz")
    if source.kind == "dicom" and path.suffix.lower() not in (".dcm", ".dicom", ".ima"):
        # A folder, or a file named by its identifier: the dots in it belong to the name.
        name = os.path.basename(os.path.abspath(path))
        return path.parent / f"{name}.dcm"
    return path


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
