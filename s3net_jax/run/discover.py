"""From what a user names (files, folders, patterns) to a list of inputs with names of their own."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s3net_jax.io.dicom import is_dicom, series_of
from s3net_jax.io.nifti import is_nifti
from s3net_jax.io.stack import is_stack
from s3net_jax.run.names import names_of
from s3net_jax.schema import RESULT_KINDS

__all__ = ["RESULT_KINDS", "SUFFIXES", "Kind", "Source", "discover"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz")
"""What is taken from a folder, beside DICOM; a file named by itself may have any suffix."""

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
    (``*``, ``?``, ``[...]``, ``**``) stands for what it matches: files, and folders that hold
    some of these. DICOM files of one series are one input, and so is a TIFF file of several equal
    pages. What does not exist, holds nothing, or is no file (a pipe, a device), is listed with
    its problem. For the stems see :func:`names_of`.
    """
    found: list[tuple[Path, str | None]] = []
    for given in inputs:
        found += _expand(Path(given))
    unique: dict[str, tuple[Path, str | None]] = {}
    for path, problem in found:
        unique.setdefault(os.path.realpath(path), (path, problem))
    sources = _grouped(list(unique.values()))
    stems = names_of([_naming_path(source) for source in sources])
    return [
        Source(s.path, stem, s.problem, s.kind, s.files)
        for s, stem in zip(sources, stems, strict=True)
    ]


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Sorts numbers inside names by value."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def _expand(path: Path) -> list[tuple[Path, str | None]]:
    if os.path.isdir(path):
        try:
            files = _files_in(path)
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            return [(path, f"{path} can't be read: {reason}.")]
        if not files:
            return [(path, f"{path} holds {_NOTHING}.")]
        return [(p, None) for p in files]
    if os.path.isfile(path):
        return [(path, None)]
    if os.path.exists(path):
        return [(path, f"{path} is a pipe or a device: save what comes out of it as a file first.")]
    if glob.has_magic(str(path)):
        files = _matches(str(path))
        if not files:
            return [(path, f"{path} matches no file.")]
        return [(p, None) for p in sorted(files, key=natural_key)]
    return [(path, None)]


def _files_in(folder: Path) -> list[Path]:
    """In natural order; raises OSError."""
    return sorted(filter(_is_input, folder.iterdir()), key=natural_key)


def _matches(pattern: str) -> list[Path]:
    """Files, and what folders hold; folders that hold nothing, or can't be read, are passed over
    like any other bystander."""
    found: list[Path] = []
    for match in map(Path, glob.glob(pattern, recursive=True)):
        if os.path.isdir(match):
            with contextlib.suppress(OSError):
                found += _files_in(match)
        elif os.path.isfile(match) and not _is_result(match):
            found.append(match)
    return found


def _is_input(path: Path) -> bool:
    if path.name.startswith(".") or _is_result(path):
        return False
    if not os.path.isfile(path):
        # A link that leads nowhere is listed, so that somebody hears of it.
        return os.path.islink(path) and not os.path.exists(path) and _has_suffix(path)
    return _has_suffix(path) or is_dicom(path)


def _has_suffix(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


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
    if os.path.isfile(path) and is_dicom(path):
        return "dicom"
    return "stack" if is_stack(path) else "image"


def _naming_path(source: Source) -> Path:
    """The path that names the results: ``scan.nii.gz`` as ``scan.gz``, a series by its folder."""
    path = source.path
    if path.name.lower().endswith(".nii.gz"):
        return path.with_name(path.name[: -len(".nii.gz")] + ".gz")
    if source.kind == "dicom" and path.suffix.lower() not in (".dcm", ".dicom", ".ima"):
        # A folder, or a file named by its identifier: the dots in it belong to the name.
        name = os.path.basename(os.path.abspath(path))
        return path.parent / f"{name}.dcm"
    return path
