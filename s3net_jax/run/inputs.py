"""From what a user names (files, folders, patterns) to a list of inputs with names of their own."""

from __future__ import annotations

import contextlib
import glob
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from s3net_jax.errors import get_reason
from s3net_jax.io import DICOM_SUFFIXES, Found, is_dicom, is_nifti, is_stack, survey
from s3net_jax.run.names import make_names
from s3net_jax.schema import RESULT_KINDS

__all__ = ["RESULT_KINDS", "SUFFIXES", "Kind", "Source", "discover"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz")
"""What is taken from a folder, beside DICOM; a file named by itself may have any suffix."""

Kind = Literal["image", "stack", "nifti", "dicom"]
_NOTHING = "no PNG, JPEG, BMP, TIFF, NIfTI or DICOM file"
_LISTED = 5  # skipped files that a sentence names at most


@dataclass(frozen=True)
class Source:
    """One input.

    Attributes:
      path: its file, or the folder of a DICOM series of several files.
      stem: of its results' names.
      problem: what is wrong with it, if anything.
      kind: how it is read.
      files: those of a DICOM volume.
      frames: of each of these, the indices of the frames that belong to the volume; None for all.
      slug: what separates the volume from others at the same path, part of its stem.
      notes: sentences a user should know about what else is at the path.
    """

    path: Path
    stem: str
    problem: str | None = None
    kind: Kind = "image"
    files: tuple[Path, ...] = ()
    frames: tuple[tuple[int, ...], ...] | None = None
    slug: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Item:
    """A file, and the folder or pattern that it was found by, if it was not named itself."""

    path: Path
    problem: str | None = None
    origin: Path | None = None


def discover(
    inputs: Iterable[str | os.PathLike[str]], say: Callable[[str], None] | None = None
) -> list[Source]:
    """Find the images and volumes that ``inputs`` name, in the order given, each once.

    A folder stands for the PNG, JPEG, BMP, TIFF, NIfTI and DICOM files directly in it, in
    natural order (2 before 10), without hidden files and without results of this tool. A pattern
    (``*``, ``?``, ``[...]``, ``**``) stands for what it matches: files, and folders that hold
    some of these. DICOM files of one volume are one input, and so is a TIFF file of several equal
    pages; a DICOM file or series of several volumes (echoes, phases) is an input each. DICOM
    objects that are not images (reports, segmentations) are skipped in folders and patterns. What
    does not exist, holds nothing, or is no file (a pipe, a device), is listed with its problem.
    For the stems see :func:`make_names`.

    Args:
      inputs: files, folders, patterns.
      say: called with a sentence if something in a folder was skipped.
    """
    found: list[_Item] = []
    for given in inputs:
        found += _expand(Path(given))
    unique: dict[str, _Item] = {}
    for item in found:
        known = unique.setdefault(os.path.realpath(item.path), item)
        if known.origin is not None and item.origin is None:  # named itself, too
            unique[os.path.realpath(item.path)] = replace(known, origin=None)
    sources, skipped = _group_items(list(unique.values()))
    if skipped and say is not None:
        say(_describe_skipped(skipped))
    stems = make_names([_choose_naming_path(source) for source in sources])
    return [replace(source, stem=stem) for source, stem in zip(sources, stems, strict=True)]


def make_natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Make a key that sorts numbers inside names by value."""
    parts = re.split(r"(\d+)", path.as_posix().casefold())
    return [(1, int(p), "") if p.isdecimal() else (0, 0, p) for p in parts]


def _expand(path: Path) -> list[_Item]:
    if os.path.isdir(path):
        try:
            files = _list_folder(path)
        except OSError as error:
            return [_Item(path, f"{path} can't be read: {get_reason(error)}.")]
        if not files:
            return [_Item(path, f"{path} holds {_NOTHING}.")]
        return [_Item(p, origin=path) for p in files]
    if os.path.isfile(path):
        return [_Item(path)]
    if os.path.exists(path):
        problem = f"{path} is a pipe or a device: save what comes out of it as a file first."
        return [_Item(path, problem)]
    if glob.has_magic(str(path)):
        files = _match_pattern(str(path))
        if not files:
            return [_Item(path, f"{path} matches no file.")]
        return [_Item(p, origin=path) for p in sorted(files, key=make_natural_key)]
    return [_Item(path)]


def _list_folder(folder: Path) -> list[Path]:
    """In natural order; raises OSError."""
    return sorted(filter(_is_input, folder.iterdir()), key=make_natural_key)


def _match_pattern(pattern: str) -> list[Path]:
    """Files, and what folders hold; folders that hold nothing, or can't be read, are passed over
    like any other bystander."""
    found: list[Path] = []
    for match in map(Path, glob.glob(pattern, recursive=True)):
        if os.path.isdir(match):
            with contextlib.suppress(OSError):
                found += _list_folder(match)
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


def _group_items(found: list[_Item]) -> tuple[list[Source], dict[Path, str]]:
    """Every file with its kind, the files of a DICOM volume as one source, at the series' first
    file; and the DICOM objects that were skipped, with what they are."""
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
            if origin is None:  # named itself: reading it says what it is
                sources.append(Source(path, "", None, "dicom", (path,)))
            elif origin not in full:  # once for all that are in there
                full.add(origin)
                problem = f"{origin} holds no image. {_describe_skipped(skipped.pop(origin))}"
                sources.append(Source(origin, "", problem))
        elif kinds[path] == "dicom":
            sources += [_make_source(volume) for volume in dicom.volumes.get(path, ())]
        else:
            sources.append(Source(path, "", None, kinds[path]))
    return sources, {path: what for files in skipped.values() for path, what in files.items()}


def _make_source(volume: Found) -> Source:
    path = volume.files[0] if len(volume.files) == 1 else volume.files[0].parent
    return Source(path, "", None, "dicom", volume.files, volume.frames, volume.slug, volume.notes)


def _describe_skipped(files: dict[Path, str]) -> str:
    """Which DICOM objects were skipped, in one sentence."""
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
    """The path that names the results: ``scan.nii.gz`` as ``scan.gz``, a series by its folder, one
    volume of several also by what separates them."""
    path = source.path
    if path.name.lower().endswith(".nii.gz"):
        return path.with_name(path.name[: -len(".nii.gz")] + ".gz")
    if source.kind != "dicom":
        return path
    slug = f"-{source.slug}" if source.slug else ""
    if path.suffix.lower() in DICOM_SUFFIXES:
        return path.with_name(f"{path.stem}{slug}{path.suffix}")
    # A folder, or a file named by its identifier: the dots in it belong to the name.
    return path.parent / f"{os.path.basename(os.path.abspath(path))}{slug}.dcm"
