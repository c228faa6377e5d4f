"""Which images form one volume: those of equal identity and close geometry, one at each place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from s3net_jax.io.dicom.geometry import Frame, find_functional
from s3net_jax.io.dicom.group import Group, Member, link
from s3net_jax.io.dicom.split import split_places
from s3net_jax.io.dicom.traits import read_traits

__all__ = ["describe_frames", "find_volumes"]

_ANGLE = 2e-3
"""Radians (0.1°). Orientations written as decimal texts, or computed again by an archive, wobble by
1e-6 to 1e-3; stacks that were planned at different angles differ by degrees."""

_SPACING = 1e-3
"""Relative difference of pixel spacings: half a pixel over 512 pixels."""

# Each file is a picture of its own, unless it has a place in space.
_PROJECTIONS = (
    *("CR", "DX", "MG", "IO", "PX", "RF", "XA", "RG", "RTIMAGE", "US", "IVUS"),
    *("XC", "OP", "ES", "GM", "SM", "EC", "BI", "DG", "TG", "AR", "OPM", "IVOCT"),
)


def describe_frames(frames: list[Frame], file: int, place: Any = None) -> list[Member]:
    """Describe the frames of one file for :func:`find_volumes`.

    Args:
      frames: with or without pixels.
      file: index of the file.
      place: the folder, if files of different folders are not to form a volume.
    """
    traits = read_traits(frames)
    return [
        Member(
            file,
            frame.index,
            _identify(frame, len(frames), file, place),
            frame.position,
            frame.axes,
            np.zeros(2) if frame.spacing is None else np.array(frame.spacing),
            frame.thickness,
            frame.number,
            str(frame.data.get("SOPInstanceUID") or ""),
            own,
        )
        for frame, own in zip(frames, traits, strict=True)
    ]


def _identify(frame: Frame, count: int, file: int, place: Any) -> tuple[Any, ...]:
    data = frame.data

    def read_text(tag: str) -> str:
        return str(data.get(tag) or "").strip()

    def read_number(tag: str) -> int:
        return int(float(read_text(tag) or 0))

    oriented = find_functional(
        data, frame.index, "PlaneOrientationSequence", "ImageOrientationPatient"
    ) or data.get("ImageOrientationPatient")
    placed = frame.position is not None
    # Without a place, a clip or a radiograph has nothing to do with the one beside it.
    apart = not placed and (count > 1 or read_text("Modality").upper() in _PROJECTIONS)
    series = (
        read_text("StudyInstanceUID"),
        read_text("SeriesInstanceUID"),
        read_text("SeriesNumber"),
        read_text("FrameOfReferenceUID"),
        read_text("SOPClassUID"),
    )
    shape = read_number("Rows"), read_number("Columns"), read_number("SamplesPerPixel") or 1
    scout = "LOCALIZER" in str(data.get("ImageType") or "").upper()
    return file if apart else None, shape, bool(oriented), placed, scout, place, *series


_MIXABLE = 5  # the entries of an identity from here on are those of the series


def find_volumes(members: list[Member], strict: bool = True) -> list[list[Group]]:
    """Sort images into volumes.

    Images belong together if their identity is equal, their orientations (as angles) and pixel
    spacings are close, if need be through others between them, and no two are at the same place.
    Where places repeat, the first trait that separates them does so. Which images form a volume
    depends on the images only, not on their order.

    Args:
      members: the images.
      strict: compare series, study and class; else only what no volume can mix (size, having a
        place), for images that a caller declares to be one series.

    Returns:
      For each series and geometry, its volumes; in the order of the first members.
    """
    kinds: dict[Any, list[Member]] = {}
    for member in members:
        identity = member.identity if strict else member.identity[:_MIXABLE]
        kinds.setdefault(identity, []).append(member)
    found: list[list[Group]] = []
    for alike in kinds.values():
        stacks = list(_group_by_geometry(sorted(alike, key=lambda member: member.order)))
        split = [split_places(stack) for stack in stacks]
        files = [{member.file for member in stack} for stack in stacks]
        if sum(map(len, files)) > len(set().union(*files)):
            # Several orientations within one file need names of their own.
            split = [
                [
                    group.narrow("orientation", f"orientation {number}")
                    for number, groups in enumerate(split, 1)
                    for group in groups
                ]
            ]
        for groups in split:
            for group in groups:
                group.among = tuple(one.label for one in groups)
        found += split
    first = {id(member): n for n, member in enumerate(members)}
    return sorted(found, key=lambda groups: min(first[id(m)] for g in groups for m in g.members))


def _group_by_geometry(members: list[Member]) -> Iterator[list[Member]]:
    """Images with close orientations and pixel spacings, also through a chain of neighbours."""
    rows = np.array([[*m.axes.ravel(), *np.log(np.maximum(m.spacing, 1e-9))] for m in members])

    def find_near(row: np.ndarray, others: np.ndarray) -> np.ndarray:
        difference = others - row
        # Of unit vectors so close to each other, the distance is the angle.
        row_angle = np.linalg.norm(difference[:, :3], axis=1)
        column_angle = np.linalg.norm(difference[:, 3:6], axis=1)
        spacing = np.abs(difference[:, 6:]).max(1)
        return (row_angle <= _ANGLE) & (column_angle <= _ANGLE) & (spacing <= _SPACING)

    labels = link(rows, find_near).tolist()
    for label in dict.fromkeys(labels):
        yield [member for member, own in zip(members, labels, strict=True) if own == label]
