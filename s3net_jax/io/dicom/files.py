"""Recognise DICOM files, read their headers, and sort them into volumes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.io.dicom.geometry import read_frames
from s3net_jax.io.dicom.group import Group, Member
from s3net_jax.io.dicom.kinds import name_bystander
from s3net_jax.io.dicom.series import describe_frames, find_volumes
from s3net_jax.io.dicom.stream import read_data_set
from s3net_jax.io.quiet import silence_warnings
from s3net_jax.io.volume import check_size

__all__ = [
    "DICOM_SUFFIXES",
    "Found",
    "Survey",
    "drop_unreadable",
    "is_dicom",
    "read_data",
    "sort_into_series",
    "survey",
]

DICOM_SUFFIXES = (".dcm", ".dicom", ".ima", ".dc3", ".dic")
_OTHER = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".nii", ".gz")


@dataclass(frozen=True)
class Found:
    """One volume found in DICOM files.

    Attributes:
      files: paths of its files.
      frames: indices of its frames in each file, or None if the header cannot be read.
      slug: part of a file name that distinguishes it from other volumes of the series, or empty.
      notes: sentences about other volumes in the series.
    """

    files: tuple[Path, ...]
    frames: tuple[tuple[int, ...], ...] | None = None
    slug: str = ""
    notes: tuple[str, ...] = ()


@dataclass
class Survey:
    """Contents of a set of DICOM files.

    Attributes:
      volumes: volumes by the first file of their series, in the order of these files.
      bystanders: names of the objects in files that are not images.
    """

    volumes: dict[Path, list[Found]] = field(default_factory=dict)
    bystanders: dict[Path, str] = field(default_factory=dict)


def is_dicom(path: Path) -> bool:
    """Return whether a file is DICOM.

    This depends on the suffix, then on the mark ``DICM`` after the preamble. A file without
    either is recognised by its first element.
    """
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    if suffix in _OTHER:
        return False
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError:
        return False
    if head[128:] == b"DICM":
        return True
    # File names are often UIDs, whose last number is not a suffix.
    return (not suffix or suffix[1:].isdecimal()) and _is_bare(head)


def _is_bare(head: bytes) -> bool:
    """Return whether data start with an element of group 2 or 8, like DICOM without preamble."""
    if len(head) < 132:
        return False
    tag, is_explicit = head[:4], head[4:6].isalpha() and head[4:6].isupper()
    if tag[1] == 0 and tag[0] in (2, 8) and tag[3] == 0 and tag[2] in (0, 1, 5, 8, 0x12, 0x16):
        return is_explicit or head[6:8] == b"\0\0"  # explicit VR, or the high bytes of a length
    return is_explicit and tag[:3] == b"\0\x08\0"  # big endian


def read_data(path: Path, header: bool = False) -> Any:
    """Read a data set, and add its transfer syntax if it is missing.

    Args:
      path: path of the file.
      header: whether to stop before the pixels.

    Raises:
      InputError: the data set unpacks to more than the limit, or has too many or too deeply
        nested elements.
      Exception: any exception from pydicom for broken data.
    """
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    data = read_data_set(pydicom, path, force=is_dicom(path), stop_before_pixels=header)
    if getattr(data, "file_meta", None) is None:
        data.file_meta = FileMetaDataset()
    if data.file_meta.get("TransferSyntaxUID") is None:
        implicit, little = data.original_encoding
        explicit = ExplicitVRLittleEndian if little is not False else ExplicitVRBigEndian
        data.file_meta.TransferSyntaxUID = explicit if implicit is False else ImplicitVRLittleEndian
    return data


def drop_unreadable(data: Any) -> None:
    """Delete elements that cannot be parsed, since pydicom raises when they are accessed."""
    for tag in list(data.keys()):
        try:
            data[tag]
        except Exception:
            del data[tag]


def sort_into_series(files: Iterable[Path]) -> list[list[Path]]:
    """Return the files of each volume, in the order of their first files; see :func:`survey`.

    Objects that are not images form separate groups.
    """
    found = survey(files)
    groups = [list(one.files) for volumes in found.volumes.values() for one in volumes]
    unique = [group for n, group in enumerate(groups) if group not in groups[:n]]
    return [*unique, *([path] for path in found.bystanders)]


def survey(files: Iterable[Path]) -> Survey:
    """Sort files into volumes by their headers; see :func:`find_volumes`.

    Files from different folders never form one volume. A file with an unreadable header becomes a
    separate volume, so that its error does not affect others. Without pydicom, every file is a
    separate volume.

    Args:
      files: paths of DICOM files.
    """
    paths = list(files)
    result = Survey()
    members: list[Member] = []
    single: list[int] = []
    with silence_warnings():
        for number, path in enumerate(paths):
            try:
                what, found = _describe(path, number)
            except Exception:
                what, found = None, []
            if what is not None:
                result.bystanders[path] = what
            elif found:
                members += found
            else:
                single.append(number)
    volumes = [(n, [Found((paths[n],))]) for n in single]
    for groups in find_volumes(members):
        first = min(member.file for group in groups for member in group.members)
        volumes.append((first, _collect_volumes(groups, paths)))
    for first, found in sorted(volumes, key=lambda pair: pair[0]):
        result.volumes.setdefault(paths[first], []).extend(found)
    return result


def _describe(path: Path, number: int) -> tuple[str | None, list[Member]]:
    """Return the name of an object that is not an image, or the frames of an image.

    The list is empty if the frames cannot be described.
    """
    data = read_data(path, header=True)
    what = name_bystander(data)
    if what is not None or "Rows" not in data or "Columns" not in data:
        return what, []
    try:
        return None, _read_members(data, path, number)
    except Exception:  # retry without broken elements, to keep the slice
        drop_unreadable(data)
        return None, _read_members(data, path, number)


def _read_members(data: Any, path: Path, number: int) -> list[Member]:
    count = int(data.get("NumberOfFrames") or 1)
    check_size(str(path), (int(data.Columns), int(data.Rows), count))
    return describe_frames(read_frames(data, np.empty((count, 0, 0))), number, path.parent)


def _collect_volumes(groups: list[Group], paths: list[Path]) -> list[Found]:
    """Return the volumes of one series, with the files and frames of each."""
    owners: list[dict[int, list[int]]] = []
    for group in groups:
        own: dict[int, list[int]] = {}
        for member in sorted(group.members, key=lambda member: (member.file, member.index)):
            own.setdefault(member.file, []).append(member.index)
        owners.append(own)
    used = [number for own in owners for number in own]
    series = str(paths[used[0]] if len(set(used)) == 1 else paths[used[0]].parent)
    return [
        Found(
            tuple(paths[number] for number in own),
            tuple(map(tuple, own.values())),
            # A volume with its own file is already distinguished by the file name.
            "" if len(own) == 1 and used.count(next(iter(own))) == 1 else group.slug,
            tuple(group.notes(series)),
        )
        for group, own in zip(groups, owners, strict=True)
    ]
