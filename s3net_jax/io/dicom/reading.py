"""Read DICOM files and series with pydicom, sorted by position and in physical units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.errors import InputError, make_broken_error
from s3net_jax.io.affine import describe_shear
from s3net_jax.io.dicom.files import drop_unreadable, is_dicom, read_data, sort_into_series
from s3net_jax.io.dicom.geometry import Frame, describe_planes, place_frames, read_frames
from s3net_jax.io.dicom.kinds import PIXELS, name_bystander
from s3net_jax.io.dicom.series import describe_frames, find_volumes
from s3net_jax.io.dicom.stream import check_frames
from s3net_jax.io.dicom.values import complete, fill_padding, find_modality, read_values
from s3net_jax.io.extras import import_extra
from s3net_jax.io.quiet import silence_warnings
from s3net_jax.io.read import check_file
from s3net_jax.io.volume import Volume, check_size

__all__ = ["is_dicom", "read_dicom", "sort_into_series"]


def read_dicom(
    files: list[Path],
    name: str | None = None,
    chosen: Sequence[Sequence[int]] | None = None,
) -> Volume:
    """Read one series, or one file with one or several frames, as a volume.

    Values are rescaled by slope and intercept (per frame if given) or the modality LUT.
    MONOCHROME1 sets ``Volume.white_is_zero``; palettes and YBR become RGB. Slices are sorted along
    their normal. If the files contain several volumes (echoes, phases, orientations), the largest
    is read, or the first of equally large ones, and a note names the others. Padding becomes the
    darkest value; in CT, values far below air become air. Unreadable slices are left out, with a
    note.

    Args:
      files: paths of the files of the series.
      name: name of the series in messages; None uses the first file.
      chosen: indices of the frames to read from each file; None reads the largest volume.

    Raises:
      InputError: all files are broken or contain no image, frames differ in size, or the volume
        is too large; or pydicom or a decoder is not installed.
    """
    name = str(files[0]) if name is None else name
    import_extra("pydicom", f"{name} is DICOM")
    notes: list[str] = []
    frames: list[Frame] = []
    owners: list[int] = []
    guessed: dict[str, None] = {}
    problems: list[InputError] = []
    for number, path in enumerate(files):
        try:
            found, guesses = _read_file(path)
        except InputError as error:
            problems.append(error)
            continue
        guessed |= dict.fromkeys(guesses)
        if chosen is not None:
            found = [frame for frame in found if frame.index in chosen[number]]
        frames += found
        owners += [number] * len(found)
    if not frames:
        raise problems[0]
    for problem in problems:
        notes.append(f"Left out: {problem}")
    if guessed:
        notes.append(f"{name} lacks {', '.join(guessed)}; the usual values are assumed.")
    sizes = {frame.pixels.shape for frame in frames}
    if len(sizes) > 1:
        raise InputError(
            f"{name} has images of {len(sizes)} different sizes: give one series at a time."
        )
    if chosen is None:
        frames, more = _choose_largest_volume(frames, owners, name)
        notes += more
    height, width = frames[0].pixels.shape[:2]
    check_size(name, (width, height, len(frames)))
    frames, affine, more, unknown = place_frames(frames, name)
    pixels = np.stack([frame.pixels for frame in frames])
    negative = [str(f.data.PhotometricInterpretation).strip() == "MONOCHROME1" for f in frames]
    if pixels.ndim == 3:
        padding = np.array([frame.is_padding for frame in frames])
        pixels = fill_padding(pixels, padding, find_modality(frames[0].data))
        if any(negative) and not all(negative):
            pixels[negative] = pixels.max() + pixels.min() - pixels[negative]
    # (slices, rows, columns) → (columns, rows, slices), the order of the affine's axes.
    voxels = np.swapaxes(pixels, 0, 2)
    origin = [frame.data for frame in frames]
    notes += [*more, *describe_shear(name, affine, voxels.shape)]
    planes = describe_planes(frames)
    return Volume(
        voxels,
        affine,
        name,
        files[0],
        "dicom",
        2,
        origin,
        tuple(notes),
        all(negative),
        planes,
        unknown,
    )


def _choose_largest_volume(
    frames: list[Frame], owners: list[int], name: str
) -> tuple[list[Frame], list[str]]:
    """Return the frames of the largest volume, or the first of equally large ones, and notes."""
    by_file: dict[int, list[Frame]] = {}
    for frame, owner in zip(frames, owners, strict=True):
        by_file.setdefault(owner, []).append(frame)
    members = [m for n, found in by_file.items() for m in describe_frames(found, n)]
    own = {(n, frame.index): frame for n, found in by_file.items() for frame in found}
    series = find_volumes(members, strict=False)
    groups = max(series, key=lambda groups: max(len(group.members) for group in groups))
    group = max(groups, key=lambda group: len(group.members))
    notes = []
    rest = sum(len(one.members) for one in groups) - len(group.members)
    if rest:
        notes.append(
            f"{name} has {rest} more images at the same positions that belong to other volumes "
            f"({group.siblings}); only {group.label} is segmented."
        )
    notes += dataclasses.replace(group, labels=()).notes(name)
    other = len(members) - sum(len(one.members) + one.copies + one.spare for one in groups)
    if other:
        notes.append(
            f"{name} has {other} more images with another orientation or pixel spacing, or without "
            "a position; they are left out."
        )
    return [own[member.file, member.index] for member in group.members], notes


def _read_file(path: Path) -> tuple[list[Frame], list[str]]:
    """Return the frames of a file, and the names of elements whose values are guesses."""
    import pydicom

    check_file(path)
    name = str(path)
    try:
        with silence_warnings():
            data = read_data(path)
            drop_unreadable(data)
            what = name_bystander(data)
            if what is not None:
                raise InputError(
                    f"{name} is a DICOM {what}, not an image: give the images that it belongs to."
                )
            if not any(tag in data for tag in PIXELS) or not {"Rows", "Columns"} <= set(data.dir()):
                raise InputError(f"{name} is a DICOM file without an image, or not a DICOM file.")
            guesses = complete(data, name)
            count = int(data.get("NumberOfFrames") or 1)
            check_size(name, (int(data.Columns), int(data.Rows), count))
            _check_decoder(pydicom, data, name)
            check_frames(pydicom, data, path)
            pixels, is_padding = read_values(data)
            pixels = pixels[None] if count == 1 else pixels
            frames = read_frames(data, pixels)
            return [dataclasses.replace(one, is_padding=is_padding) for one in frames], guesses
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: crop or split it first.") from None
    except Exception as error:  # a decoder is missing, or the data are broken
        raise make_broken_error(name, error) from error


def _check_decoder(pydicom: Any, data: Any, name: str) -> None:
    """Raise :class:`InputError` if no installed decoder supports the compression.

    Otherwise the file would be reported as broken.
    """
    syntax = data.file_meta.TransferSyntaxUID
    try:
        decoder = pydicom.pixels.get_decoder(syntax)
    except NotImplementedError:
        raise InputError(
            f"{name} has the unsupported compression {syntax.name}: save it uncompressed."
        ) from None
    if not decoder.is_available:
        raise InputError(
            f"No decoder for the compression of {name}, {syntax.name}, is installed: pip install "
            "pylibjpeg-libjpeg or python-gdcm, or save it uncompressed."
        )
