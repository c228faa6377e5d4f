"""Voxels of NIfTI files within the limits: a compressed file is unpacked once, in steps."""

from __future__ import annotations

import gzip
import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.bands import split_into_bands
from s3net_jax.io.limits import check_bytes, measure_stored_bytes

__all__ = ["check_header", "check_memory", "read_first_volume", "scale_voxels"]

_STEP = 1 << 22
_HEADS = {348: ("f", 108), 540: ("q", 168)}  # size of a header: type and place of vox_offset

# Extensions are kept in the results' headers. Real ones are text of some kB, a connectome's table
# some MB; one that is DICOM (code 2) is parsed by pydicom, at 1 kB of memory for 8 bytes.
_EXTENSIONS = 64 << 20
_DICOM, _DICOM_BYTES = 2, 1 << 20
_COUNT = 1000


def check_header(path: Path) -> None:
    """Raise :class:`InputError` for a header whose extensions have no end, before nibabel reads
    them."""
    name = str(path)
    if path.suffix.lower() == ".img":
        path = path.with_suffix(".HDR" if path.suffix == ".IMG" else ".hdr")
        if not path.is_file():
            return
    with _open(path) as file:
        head = file.read(4)
        order, size = "<", int.from_bytes(head, "little")
        if size not in _HEADS:
            order, size = ">", int.from_bytes(head, "big")
        if size not in _HEADS:
            return  # nibabel says what is wrong
        head += file.read(size - 4)
        kind, place = _HEADS[size]
        detached = b"ni" in head[4:12] if size == 540 else head[344:346] == b"ni"
        flag = file.read(4)
        if len(head) < size or len(flag) < 4 or flag[0] == 0:
            return
        (offset,) = struct.unpack_from(order + kind, head, place)
        end = math.inf if detached else offset
        if not end > 0:  # NaN, too
            raise _make_endless_error(name)
        place = size + 4
        for _ in range(_COUNT):
            data = file.read(8) if end - place >= 16 else b""
            if len(data) < 8:
                return
            length, code = struct.unpack(order + "ii", data)
            place += length
            most = _DICOM_BYTES if code == _DICOM else _EXTENSIONS
            if length < 16 or length > most or place > size + _EXTENSIONS:
                raise _make_endless_error(name)
            _skip(file, length - 8)
        raise _make_endless_error(name)


def _make_endless_error(name: str) -> InputError:
    return InputError(
        f"{name} is broken or cut off (its header's extensions are too long or too many): copy or "
        "export the file again."
    )


def check_memory(image: Any, path: Path, name: str) -> None:
    """Raise :class:`InputError` if reading the first volume would take too much memory."""
    shape, kind = image.shape, image.get_data_dtype()
    first, rest = math.prod(shape[:3]), math.prod(shape[3:])
    plain = kind.kind in "iuV" and (image.dataobj.slope, image.dataobj.inter) == (1, 0)
    # Stored numbers, and float32 voxels unless they are integers. Of further volumes nothing is
    # kept, but a compressed file is unpacked to its check sum, which takes time.
    needed = first * (kind.itemsize + (0 if plain else 4)) + first * kind.itemsize * (rest - 1) / 4
    check_bytes(name, needed, measure_stored_bytes(_find_file(image, path)))


def read_first_volume(image: Any, path: Path) -> np.ndarray:
    """Return the first volume (X, Y, Z) as it is stored, without scaling.

    A compressed file is unpacked once, up to the end of what its header claims: there nibabel
    would not notice a wrong check sum.
    """
    shape = tuple(int(side) for side in image.shape[:3])
    shape += (1,) * (3 - len(shape))
    kind = image.dataobj.dtype
    size = math.prod(shape) * kind.itemsize
    rest = size * (math.prod(image.shape[3:]) - 1)
    raw = bytearray(size)
    with _open(_find_file(image, path)) as file:
        _skip(file, int(image.dataobj.offset))
        view, done = memoryview(raw), 0
        while done < size:
            count = file.readinto(view[done : done + _STEP])
            if not count:
                raise ValueError(f"{size - done:,} bytes of voxels are missing")
            done += count
        if isinstance(file, gzip.GzipFile):
            _check_sum(file, rest)
    return np.ndarray(shape, kind, raw, order="F")


def scale_voxels(raw: np.ndarray, image: Any, name: str) -> tuple[np.ndarray, list[str]]:
    """Return voxels scaled as the header says, NaN and infinity replaced by the smallest finite
    value, and notes.

    Floats become float32 unless it can't hold them. Few slices are worked on at once: in float64
    the whole would take four times the memory of its numbers.

    Raises:
      InputError: no value is finite.
    """
    from nibabel.volumeutils import apply_read_scaling

    slope, inter = np.float64(image.dataobj.slope), np.float64(image.dataobj.inter)
    kind = apply_read_scaling(raw[..., :1], slope, inter).dtype
    if kind.kind != "f":
        return raw if kind == raw.dtype else apply_read_scaling(raw, slope, inter), []
    parts = list(split_into_bands(raw.shape[2], raw.shape[0] * raw.shape[1]))
    wrong, largest, low = 0, kind.type(0), kind.type(np.inf)
    for part in parts:
        values = apply_read_scaling(raw[..., part], slope, inter)
        good = values[np.isfinite(values)]
        wrong += values.size - good.size
        if good.size:
            largest, low = max(largest, np.abs(good).max()), min(low, good.min())
    if wrong == raw.size:
        raise InputError(f"{name} holds no finite value: there is nothing to segment.")
    result = np.empty(
        raw.shape, np.float32 if largest == 0 or 1e-30 < largest < 1e38 else kind, order="F"
    )
    low = result.dtype.type(low)
    for part in parts:
        values = apply_read_scaling(raw[..., part], slope, inter)
        result[..., part] = np.where(np.isfinite(values), values, low) if wrong else values
    note = f"{name} has {wrong:,} voxels that are NaN or infinite; they count as {low:g}."
    return result, [note] if wrong else []


def _check_sum(file: gzip.GzipFile, rest: int) -> None:
    """Read on to the end of a compressed file, where its check sum is, or a little beyond what the
    header claims."""
    left = rest + _STEP
    try:
        while left > 0 and (part := file.read(_STEP)):
            left -= len(part)
    except gzip.BadGzipFile as error:
        if "CRC" in str(error):  # other bytes may follow what was compressed
            raise


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    compressed = path.suffix.lower() == ".gz"
    with gzip.open(path) if compressed else path.open("rb") as file:
        yield file


def _find_file(image: Any, path: Path) -> Path:
    return Path(image.file_map["image"].filename or path)


def _skip(file: BinaryIO, count: int) -> None:
    while count > 0:
        part = file.read(min(count, _STEP))
        if not part:
            return
        count -= len(part)
