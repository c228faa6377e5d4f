"""Find the inputs that files, folders and patterns name, and give each a unique name."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from s3net_jax.errors import InputError, get_reason
from s3net_jax.io import (
    DICOM_SUFFIXES,
    Found,
    import_extra,
    is_dicom,
    is_nifti,
    is_stack,
    survey,
)
from s3net_jax.run.names import make_names
from s3net_jax.schema import is_result_name

__all__ = ["SUFFIXES", "Kind", "Source", "check_usable", "discover"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz")
"""Suffixes taken from a folder, besides DICOM; a file that is named may have any suffix."""

Kind = Literal["image", "stack", "nifti", "dicom"]
_NOTHING = "no PNG, JPEG, BMP, TIFF, NIfTI or DICOM file"
_LISTED = 5  # files that a sentence names at most, and inputs that an error does
_READERS: dict[Kind, Callable[[Path], tuple[str, str]]] = {
    "nifti": lambda path: ("nibabel", f"{path} is a NIfTI volume"),
    "dicom": lambda path: ("pydicom", f"{path} is DICOM"),
}
"""Kind → the optional package that reads it, and the beginning of the sentence without it."""


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
      path: the file, or the folder of a DICOM series of several files.
      stem: first part of the names of its results.
      problem: why the input can't be used, if so.
      kind: which reader reads it.
      files: files of a DICOM volume.
      frames: for each of these files, indices of the frames of the volume; None for all.
      slug: part of the stem that distinguishes volumes at the same path.
      notes: messages for the user about other content of the path.
      base: the folder whose recursive search found the input, if any.
    """

    path: Path
    stem: str
    problem: str | None = None
    kind: Kind = "image"
    files: tuple[Path, ...] = ()
    frames: tuple[tuple[int, ...], ...] | None = None
    slug: str = ""
    notes: tuple[str, ...] = ()
    base: Path | None = None


@dataclass(frozen=True)
class _Item:
    """A file, and the folder or pattern that found it, unless the user named it.

    Attributes:
      base: the folder whose recursive search found the file, if any.
    """

    path: Path
    problem: str | None = None
    origin: Path | None = None
    base: Path | None = None


def discover(
    inputs: Iterable[str | os.PathLike[str]],
    say: Callable[[str], None] | None = None,
    recursive: bool = False,
) -> list[Source]:
    """Find the images and volumes that ``inputs`` name, in the order given, each once.

    A folder means the PNG, JPEG, BMP, TIFF, NIfTI and DICOM files directly in it, in natural order
    (2 before 10), without hidden files and results of this tool. A pattern (``*``, ``?``,
    ``[...]``, ``**``) means the files that it matches and the files in folders that it matches. The
    DICOM files of one volume are one input, and so is a TIFF file of several equal pages; each
    volume of a DICOM file or series with several (echoes, phases) is an input. DICOM objects that
    are not images (reports, segmentations) are skipped in folders and patterns. A path that does
    not exist, is empty, or is not a regular file (a pipe, a device) is listed with its problem.
    Stems are made by :func:`make_names`.

    Args:
      inputs: files, folders and patterns.
      say: function called with a sentence if files in a folder were skipped.
      recursive: whether to search sub-folders, except hidden ones and links to folders. Stems then
        begin with the names of the sub-folders, joined by ``-``.
    """
    found: list[_Item] = []
    for given in inputs:
        found += _expand(Path(given), recursive)
    unique: dict[str, _Item] = {}
    for item in found:
        known = unique.setdefault(os.path.realpath(item.path), item)
        if known.origin is not None and item.origin is None:  # also named by the user
            unique[os.path.realpath(item.path)] = replace(known, origin=None)
    sources, skipped = _group_items(list(unique.values()))
    if skipped and say is not None:
        say(_describe_skipped(skipped))
    stems = make_names([_choose_naming_path(source) for source in sources])
    return [replace(source, stem=stem) for source, stem in zip(sources, stems, strict=True)]


def check_usable(inputs: Iterable[str | os.PathLike[str]], recursive: bool = False) -> None:
    """Check that at least one file that ``inputs`` name can be read; stop at the first.

    Args:
      inputs, recursive: see :func:`discover`.

    Raises:
      InputError: no file can be read, because files are missing or empty or need a package that is
        not installed. The message explains each input in one sentence.
    """
    reasons: list[str] = []
    for given in inputs:
        problem = _find_problem(Path(given), recursive)
        if problem is None:
            return
        reasons.append(problem)
    if len(reasons) == 1:
        raise InputError(reasons[0])
    more = [f"and {len(reasons) - _LISTED} more"] if len(reasons) > _LISTED else []
    raise InputError(f"None of the {len(reasons)} inputs can be used:", *reasons[:_LISTED], *more)


def _find_problem(path: Path, recursive: bool) -> str | None:
    """Describe why no file that ``path`` names can be read; None if one may be readable."""
    is_folder = os.path.isdir(path)
    try:
        items = (
            map(_Item, _search_folder(path, recursive)) if is_folder else _expand(path, recursive)
        )
        first = None
        for item in items:
            problem = item.problem or _find_file_problem(item.path)
            if problem is None:
                return None
            first = first or problem
        return first or f"{path} holds {_NOTHING}."
    except OSError as error:
        return f"{path} can't be read: {get_reason(error)}."


def _find_file_problem(path: Path) -> str | None:
    if not os.path.exists(path):
        return f"{path} does not exist."
    try:
        kind = _find_kind(path)
        if kind in _READERS:
            import_extra(*_READERS[kind](path))
    except InputError as error:
        return str(error)
    return None


def make_natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Make a key that sorts numbers inside names by value."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def _expand(path: Path, recursive: bool) -> list[_Item]:
    if os.path.isdir(path):
        try:
            files = sorted(_search_folder(path, recursive), key=make_natural_key)
        except OSError as error:
            return [_Item(path, f"{path} can't be read: {get_reason(error)}.")]
        if not files:
            return [_Item(path, f"{path} holds {_NOTHING}.")]
        return [_Item(p, origin=path, base=path if recursive else None) for p in files]
    if os.path.isfile(path):
        return [_Item(path)]
    if os.path.exists(path):
        problem = f"{path} is a pipe or a device: save its output as a file first."
        return [_Item(path, problem)]
    if glob.has_magic(str(path)):
        found = _match_pattern(path, recursive)
        if not found:
            return [_Item(path, f"{path} matches no file.")]
        return sorted(found, key=lambda item: make_natural_key(item.path))
    return [_Item(path)]


def _search_folder(folder: Path, recursive: bool) -> Iterator[Path]:
    """Yield the inputs in a folder; raise OSError if the folder itself is unreadable."""
    yield from filter(_is_input, folder.iterdir())
    if not recursive:
        return
    for place, names, files in os.walk(folder):
        names[:] = [name for name in names if not name.startswith(".")]
        if Path(place) != folder:
            yield from filter(_is_input, (Path(place, name) for name in files))


def _match_pattern(path: Path, recursive: bool) -> list[_Item]:
    """Find the files that a pattern matches, and the inputs in folders that it matches.

    Folders without inputs and unreadable folders are ignored.
    """
    found: list[_Item] = []
    for match in map(Path, glob.glob(str(path), recursive=True)):
        if os.path.isdir(match):
            base = match if recursive else None
            with contextlib.suppress(OSError):
                found += [_Item(p, None, path, base) for p in _search_folder(match, recursive)]
        elif os.path.isfile(match) and not _is_result(match):
            found.append(_Item(match, origin=path))
    return found


def _is_input(path: Path) -> bool:
    if path.name.startswith(".") or _is_result(path):
        return False
    if not os.path.isfile(path):
        # Broken links are listed so that they are reported.
        return os.path.islink(path) and not os.path.exists(path) and _has_suffix(path)
    return _has_suffix(path) or is_dicom(path)


def _has_suffix(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def _is_result(path: Path) -> bool:
    return is_result_name(path.name)


def _group_items(found: list[_Item]) -> tuple[list[Source], dict[Path, str]]:
    """Group files into sources.

    Args:
      found: files and problems.

    Returns:
      Sources, in which the files of a DICOM volume form one source at the position of its first
      file; and skipped DICOM objects: path → description.
    """
    kinds: dict[Path, Kind] = {i.path: _find_kind(i.path) for i in found if i.problem is None}
    dicom = survey(path for path, kind in kinds.items() if kind == "dicom")
    skipped: dict[Path, dict[Path, str]] = {}
    for item in found:
        if item.path in dicom.bystanders and item.origin is not None:
            skipped.setdefault(item.origin, {})[item.path] = dicom.bystanders[item.path]
    full = {item.origin for item in found if item.path not in dicom.bystanders}
    sources: list[Source] = []
    for item in found:
        path, origin = item.path, item.origin
        if item.problem is not None:
            sources.append(Source(path, "", item.problem))
        elif path in dicom.bystanders:
            if origin is None:  # named by the user: reading it reports what it is
                sources.append(Source(path, "", None, "dicom", (path,)))
            elif origin not in full:  # report the folder only once
                full.add(origin)
                problem = f"{origin} holds no image. {_describe_skipped(skipped.pop(origin))}"
                sources.append(Source(origin, "", problem))
        elif kinds[path] == "dicom":
            volumes = map(_make_source, dicom.volumes.get(path, ()))
            sources += [replace(volume, base=item.base) for volume in volumes]
        else:
            sources.append(Source(path, "", None, kinds[path], base=item.base))
    return sources, {path: what for files in skipped.values() for path, what in files.items()}


def _make_source(volume: Found) -> Source:
    path = volume.files[0] if len(volume.files) == 1 else volume.files[0].parent
    return Source(path, "", None, "dicom", volume.files, volume.frames, volume.slug, volume.notes)


def _describe_skipped(files: dict[Path, str]) -> str:
    """Name the skipped DICOM objects in one sentence."""
    listed = [f"{path.name} ({what})" for path, what in files.items()][:_LISTED]
    rest = len(files) - len(listed)
    more = f" and {rest} more" if rest else ""
    objects = "1 DICOM object that is not an image"
    if len(files) > 1:
        objects = f"{len(files)} DICOM objects that are not images"
    return f"Skipped {objects}: {', '.join(listed)}{more}."


def _find_kind(path: Path) -> Kind:
    if os.path.isfile(path) and is_dicom(path):
        return "dicom"
    if is_nifti(path):
        return "nifti"
    return "stack" if is_stack(path) else "image"


def _choose_naming_path(source: Source) -> Path:
    """Choose the path that results are named after.

    After a recursive search, its name begins with the sub-folders.
    """
    path = _choose_plain_path(source)
    if source.base is None:
        return path
    below = os.path.relpath(os.path.abspath(source.path), os.path.abspath(source.base))
    folders = Path(below).parent.parts  # none for a series in the base itself, which is "."
    return path.with_name("-".join((*folders, path.name)))


def _choose_plain_path(source: Source) -> Path:
    """Choose the path that results are named after, without sub-folders.

    ``scan.nii.gz`` becomes ``scan.gz``. A series is named after its folder; one of several volumes
    also contains its slug.
    """
    path = source.path
    if path.name.lower().endswith(".nii.gz"):
        return path.with_name(path.name[: -len(".nii.gz")] + ".gz")
    if source.kind != "dicom":
        return path
    slug = f"-{source.slug}" if source.slug else ""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return path.with_name(f"{path.stem}{slug}{path.suffix}")
    # For a folder or a file named after an identifier, dots are part of the name.
    return path.parent / f"{os.path.basename(os.path.abspath(path))}{slug}.dcm"
