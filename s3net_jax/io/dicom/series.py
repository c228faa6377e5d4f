"""Group images into volumes: equal identity, close geometry, one image at each position."""

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
"""Largest angle in radians (0.1°) between orientations of one volume. Orientations written as
decimal strings, or recomputed by an archive, vary by 1e-6 to 1e-3; stacks planned at different
angles differ by degrees."""

_SPACING = 1e-3
"""Largest relative difference of pixel spacings in one volume: half a pixel over 512 pixels."""

# Modalities in which each file without a position is a separate picture.
_PROJECTIONS = (
    *("CR", "DX", "MG", "IO", "PX", "RF", "XA", "RG", "RTIMAGE", "US", "IVUS"),
    *("XC", "OP", "ES", "GM", "SM", "EC", "BI", "DG", "TG", "AR", "OPM", "IVOCT"),
)


def describe_frames(frames: list[Frame], file: int, place: Any = None) -> list[Member]:
    """Describe the frames of one file for :func:`find_volumes`.

    Args:
      frames: frames, with or without pixels.
      file: index of the file.
      place: folder of the file, if files from different folders must not form a volume.
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
    # Without positions, clips and radiographs of a series are unrelated.
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


_MIXABLE = 5  # identity entries from this index on describe the series


def find_volumes(members: list[Member], strict: bool = True) -> list[list[Group]]:
    """Group images into volumes.

    The images of a volume have equal identity, close orientations and pixel spacings (directly or
    through a chain of others), and different positions. If positions repeat, the images are
    separated by the first trait that differs. The result does not depend on the order of the
    images.

    Args:
      members: images.
      strict: whether to compare series, study and class; False compares only what no volume can
        mix (size, presence of a position), for images that the caller declares as one series.

    Returns:
      The volumes of each series and geometry, in the order of the first members.
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
            # Several orientations within one file need different names.
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
    """Yield groups with close orientations and pixel spacings, directly or through a chain."""
    rows = np.array([[*m.axes.ravel(), *np.log(np.maximum(m.spacing, 1e-9))] for m in members])

    def find_near(row: np.ndarray, others: np.ndarray) -> np.ndarray:
        difference = others - row
        # For unit vectors, a small distance equals the angle between them.
        row_angle = np.linalg.norm(difference[:, :3], axis=1)
        column_angle = np.linalg.norm(difference[:, 3:6], axis=1)
        spacing = np.abs(difference[:, 6:]).max(1)
        return (row_angle <= _ANGLE) & (column_angle <= _ANGLE) & (spacing <= _SPACING)

    labels = link(rows, find_near).tolist()
    for label in dict.fromkeys(labels):
        yield [member for member, own in zip(members, labels, strict=True) if own == label]
