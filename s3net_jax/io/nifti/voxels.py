"""Read the voxels of NIfTI files within the limits; compressed files are unpacked in steps."""

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

_STEP = 1 << 22  # bytes unpacked at a time
_HEADS = {348: ("f", 108), 540: ("q", 168)}  # header size → type and offset of vox_offset

# Limits on header extensions, which results keep: total bytes, bytes of a DICOM extension (code
# 2), and their number. Usual extensions are text of a few kB; a connectome table has a few MB.
# pydicom parses a DICOM extension, taking 1 kB of memory per 8 bytes.
_EXTENSIONS = 64 << 20
_DICOM, _DICOM_BYTES = 2, 1 << 20
_COUNT = 1000


def check_header(path: Path) -> None:
    """Raise :class:`InputError` if the header extensions are too long or too many.

    This runs before nibabel reads the file, since nibabel does not limit them.
    """
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
            return  # nibabel reports the error
        head += file.read(size - 4)
        kind, place = _HEADS[size]
        detached = b"ni" in head[4:12] if size == 540 else head[344:346] == b"ni"
        flag = file.read(4)
        if len(head) < size or len(flag) < 4 or flag[0] == 0:
            return
        (offset,) = struct.unpack_from(order + kind, head, place)
        end = math.inf if detached else offset
        if not end > 0:  # also true for NaN
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
    # Stored numbers, and float32 voxels unless integers are kept. Further volumes take no memory,
    # but a compressed file is unpacked up to its checksum, which takes time: they count a quarter.
    needed = first * (kind.itemsize + (0 if plain else 4)) + first * kind.itemsize * (rest - 1) / 4
    check_bytes(name, needed, measure_stored_bytes(_find_file(image, path)))


def read_first_volume(image: Any, path: Path) -> np.ndarray:
    """Return the first volume, (X, Y, Z), as stored, without scaling.

    A compressed file is unpacked to the end in a single pass to verify its checksum, which nibabel
    would skip.

    Raises:
      ValueError: voxels are missing.
      gzip.BadGzipFile: the checksum is wrong.
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
    """Scale voxels by the slope and intercept of the header, and replace NaN and infinity.

    They become the smallest finite value. Floats become float32 unless their range is too large
    or too small for it. Slices are processed in bands: in float64 the whole volume could take four
    times the memory of the stored numbers.

    Args:
      raw: stored voxels, (X, Y, Z).
      image: nibabel image.
      name: name of the volume in messages.

    Returns:
      The scaled voxels, and notes.

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
        raise InputError(f"{name} has no finite value: there is nothing to segment.")
    # float32 reaches 3.4e38; its smallest normal number is 1.2e-38, which leaves eight decades
    # below the largest value.
    result = np.empty(
        raw.shape, np.float32 if largest == 0 or 1e-30 < largest < 1e38 else kind, order="F"
    )
    low = result.dtype.type(low)
    for part in parts:
        values = apply_read_scaling(raw[..., part], slope, inter)
        result[..., part] = np.where(np.isfinite(values), values, low) if wrong else values
    note = f"{name} has {wrong:,} voxels that are NaN or infinite; they are replaced by {low:g}."
    return result, [note] if wrong else []


def _check_sum(file: gzip.GzipFile, rest: int) -> None:
    """Read to the end of a compressed file, which verifies its checksum.

    Reading stops slightly beyond the size stated in the header, to bound the time.
    """
    left = rest + _STEP
    try:
        while left > 0 and (part := file.read(_STEP)):
            left -= len(part)
    except gzip.BadGzipFile as error:
        if "CRC" in str(error):  # other errors come from trailing bytes and are harmless
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
