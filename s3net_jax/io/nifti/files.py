"""Read and write NIfTI volumes with nibabel; results keep the header of the input."""

from __future__ import annotations

import gzip
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.errors import InputError, make_broken_error
from s3net_jax.io.affine import is_sheared
from s3net_jax.io.extras import import_extra
from s3net_jax.io.nifti.header import load_nifti, place_nifti, read_geometry_fields
from s3net_jax.io.nifti.voxels import (
    check_header,
    check_memory,
    read_first_volume,
    scale_voxels,
)
from s3net_jax.io.quiet import silence_warnings
from s3net_jax.io.read import check_file
from s3net_jax.io.volume import Volume, check_size
from s3net_jax.io.write import replace_file

__all__ = ["NIFTI_SUFFIXES", "is_nifti", "read_nifti", "write_nifti"]

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img")
_MAX_RATIO = 1100  # just above 1032, the highest compression ratio of deflate


def is_nifti(path: Path) -> bool:
    """Return whether ``path`` has a NIfTI suffix."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def read_nifti(path: Path) -> Volume:
    """Read a NIfTI-1 or NIfTI-2 file as a volume, with the scaling of its header.

    NaN and infinity, which are common in masked-out background, become the smallest finite value.
    A fourth axis of length one is dropped; of several volumes only the first is read, with a
    note. RGB voxels are read as colours. The affine is converted to millimetres. If qform and
    sform differ, the sform is used, with a note.

    Raises:
      InputError: the file is missing, broken, truncated, not NIfTI, too large, or has no finite
        value; or nibabel is not installed.
    """
    nib = import_extra("nibabel", f"{path} is a NIfTI volume")
    check_file(path)
    name = str(path)
    nib.imageglobals.logger.setLevel(logging.CRITICAL)  # it logs header fields that it repairs
    try:
        with silence_warnings():
            _check_suffix(path, name)
            check_header(path)
            image = load_nifti(path)
            if image is None:
                nib.load(path)  # may raise a more specific error
                raise InputError(f"{name} is not a NIfTI file: convert it first.")
            return _build_volume(image, path, name)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: crop or resample it first.") from None
    except Exception as error:  # nibabel raises many types of exceptions for broken headers
        raise make_broken_error(name, error) from error


@dataclass(frozen=True, eq=False)
class _Original:
    """Metadata of a NIfTI input that results keep.

    Attributes:
      header: header as parsed by nibabel.
      geometry: stored values of the fields that define the affine.
      shape: shape of the stored array.
    """

    header: Any
    geometry: dict[str, np.ndarray]
    shape: tuple[int, ...]


def _check_suffix(path: Path, name: str) -> None:
    """Raise :class:`InputError` if the suffix ``.gz`` does not match the content.

    Readers decide by the suffix whether to decompress.
    """
    with path.open("rb") as file:
        head = file.read(4)
    # An .img file starts with voxels, which may look like the magic bytes of gzip.
    is_packed = head[:2] == b"\x1f\x8b" and path.suffix.lower() != ".img"
    sizes = {int.from_bytes(head, "little"), int.from_bytes(head, "big")}  # header size field
    if path.suffix.lower() == ".gz" and sizes & {348, 540}:
        raise InputError(f"{name} is not compressed despite its name: rename it to {path.stem}.")
    if path.suffix.lower() != ".gz" and is_packed:
        raise InputError(f"{name} is compressed despite its name: rename it to {path.name}.gz.")


def _build_volume(image: Any, path: Path, name: str) -> Volume:
    shape = tuple(int(side) for side in image.shape)
    check_size(name, shape)
    stored = image.get_data_dtype()
    needed = int(np.prod(shape, dtype=np.int64)) * stored.itemsize
    _check_stored(image, path, name, needed)
    if (stored.names or ("R", "G", "B"))[:3] != ("R", "G", "B") or stored.kind == "c":
        raise InputError(
            f"{name} has voxels of the unsupported type {stored}: convert it to grey values or RGB."
        )
    check_memory(image, path, name)
    voxels, notes = _read_voxels(image, shape, path, name)
    affine, more = place_nifti(image, name)
    origin = _Original(image.header.copy(), read_geometry_fields(image), shape)
    return Volume(voxels, affine, name, path, "nifti", None, origin, (*notes, *more))


def _read_voxels(
    image: Any, shape: tuple[int, ...], path: Path, name: str
) -> tuple[np.ndarray, list[str]]:
    """Return numbers (X, Y, Z) or colours (X, Y, Z, 3) of the first volume, and notes."""
    notes = []
    count = int(np.prod(shape[3:], dtype=np.int64))
    if count > 1:
        notes.append(f"{name} contains {count} volumes; only the first is segmented.")
    voxels = read_first_volume(image, path)
    names = voxels.dtype.names
    if names:
        if "A" in names and (voxels["A"] != 255).any():
            notes.append(f"{name} has an opacity channel; only its colours are segmented.")
        return np.stack([voxels[c] for c in "RGB"], -1).astype(np.uint8), notes
    voxels, more = scale_voxels(voxels, image, name)
    return voxels, [*notes, *more]


def _check_stored(image: Any, path: Path, name: str, needed: int) -> None:
    """Raise :class:`InputError` if the header claims more voxels than the file can contain."""
    holder = image.file_map["image"]
    file = Path(holder.filename or path)
    size = file.stat().st_size
    if needed > (size * _MAX_RATIO if file.suffix.lower() == ".gz" else size):
        raise InputError(
            f"{name} is broken or cut off (its header claims {needed:,} bytes of voxels, the file "
            f"has {size:,}): copy or export the file again."
        )


def write_nifti(path: Path, values: np.ndarray, volume: Volume) -> None:
    """Write labels, a mask or shares as NIfTI on the grid of ``volume``.

    For a NIfTI input the header is kept (affine, both orientation codes, units) except for the
    voxel type, the scaling and the intent.

    For other inputs, qform and sform both hold the affine. A qform cannot express a shear: if the
    axes are sheared, its code is 0 and only the sform is valid.

    Args:
      path: path of the file; ends in ``.nii.gz``.
      values: values to write, (X, Y, Z) uint8, uint16, int32 or float32.
      volume: source of affine and header.

    Raises:
      InputError: nibabel is not installed.
      OutputError: the file cannot be written.
    """
    nib = import_extra("nibabel", "Writing NIfTI")
    if volume.form == "nifti":
        image = _build_like(nib, values, volume.origin)
    else:
        assert volume.affine is not None
        image = nib.Nifti1Image(values, volume.affine)
        image.header.set_xyzt_units("mm")
        image.set_qform(volume.affine, code="scanner")
        image.set_sform(volume.affine, code="scanner")
        if is_sheared(volume.affine, volume.shape):
            image.header["qform_code"] = 0
    content = _compress(image.to_bytes())
    with replace_file(path) as file:
        file.write(content)


def _build_like(nib: Any, values: np.ndarray, original: _Original) -> Any:
    """Return a nibabel image of ``values`` with the header of a NIfTI input."""
    second = original.header.sizeof_hdr == nib.Nifti2Header.sizeof_hdr
    kind = nib.Nifti2Image if second else nib.Nifti1Image
    source = original.header
    # Converting a header of another class, such as that of a .hdr/.img pair, loses its geometry.
    header = kind.header_class(source.binaryblock, source.endianness, check=False)
    header["magic"] = kind.header_class.single_magic
    header["vox_offset"] = 0  # nibabel sets it on writing
    header.extensions.extend(source.extensions)
    header.set_data_dtype(values.dtype)
    header.set_slope_inter(1, 0)
    header["cal_min"] = header["cal_max"] = 0
    if int(header["intent_code"]):
        header.set_intent("none")
    if len(original.shape) < 3:
        values = values.reshape(original.shape)
    image = kind(values, None, header)  # given an affine, nibabel would change the codes
    for name, value in original.geometry.items():
        image.header[name] = value
    return image


def _compress(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)  # no time stamp: equal results give equal bytes
