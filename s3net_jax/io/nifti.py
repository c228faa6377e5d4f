"""NIfTI volumes, through nibabel: any orientation, scaling, header kept on the way out."""

from __future__ import annotations

import gzip
import logging
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.io.errors import InputError, broken
from s3net_jax.io.extras import need
from s3net_jax.io.nifti_voxels import (
    check_header,
    check_memory,
    read_first_volume,
    scale_voxels,
)
from s3net_jax.io.quiet import quiet
from s3net_jax.io.read import check_file
from s3net_jax.io.volume import Volume, check_size
from s3net_jax.io.write import replacing

__all__ = ["NIFTI_SUFFIXES", "is_nifti", "read_nifti", "write_nifti"]

NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img")
_MAX_RATIO = 1100  # deflate can't shrink more than 1032 times


def is_nifti(path: Path) -> bool:
    """Whether the name says NIfTI."""
    return path.name.lower().endswith(NIFTI_SUFFIXES)


def read_nifti(path: Path) -> Volume:
    """The volume in a NIfTI-1 or -2 file, scaled as its header says.

    NaN and infinity, as masked-out surroundings often hold, become the smallest finite value. A
    fourth axis of length one is dropped; of several volumes the first is taken, and a note says
    so. RGB voxels are colours.

    Raises:
      InputError: missing, broken, cut off, not NIfTI, too large, or without a finite value;
        nibabel is not installed.
    """
    nib = need("nibabel", f"{path} is a NIfTI volume")
    check_file(path)
    name = str(path)
    nib.imageglobals.logger.setLevel(logging.CRITICAL)  # header oddities that it repairs
    try:
        with quiet():
            check_header(path)
            image = nib.load(path)
            if not isinstance(image, (nib.Nifti1Pair, nib.Nifti2Pair)):
                raise InputError(f"{name} is not a NIfTI file: convert it first.")
            return _volume(nib, image, path, name)
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{name} does not fit into memory: crop or resample it first.") from None
    except Exception as error:  # whatever a broken header leads to
        raise broken(name, error) from error


def _volume(nib: Any, image: Any, path: Path, name: str) -> Volume:
    shape = tuple(int(side) for side in image.shape)
    check_size(name, shape)
    notes = []
    stored = image.get_data_dtype()
    needed = int(np.prod(shape, dtype=np.int64)) * stored.itemsize
    _check_stored(image, path, name, needed)
    check_memory(image, path, name)
    if stored.names not in (None, ("R", "G", "B")) or stored.kind == "c":
        raise InputError(f"{name} holds voxels of the type {stored}: grey values or RGB can be.")
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        notes.append(f"{name} holds {np.prod(shape[3:])} volumes; only the first is segmented.")
    voxels = read_first_volume(image, path)
    if stored.names:
        voxels = np.stack([voxels[c] for c in stored.names], -1).astype(np.uint8)
    else:
        voxels, more = scale_voxels(voxels, image, name)
        notes += more
    affine = np.asarray(image.affine, np.float64)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise InputError(f"{name} has an affine matrix that is singular: repair it first.")
    header = type(image)(np.zeros((1, 1, 1), np.uint8), image.affine, image.header)
    for form in ("qform_code", "sform_code"):  # nibabel sets one where there is none
        header.header[form] = image.header[form]
    return Volume(voxels, affine, name, path, "nifti", None, header, tuple(notes))


def _check_stored(image: Any, path: Path, name: str, needed: int) -> None:
    """A header must not claim more than its file can hold."""
    holder = image.file_map["image"]
    file = Path(holder.filename or path)
    size = file.stat().st_size
    if needed > (size * _MAX_RATIO if file.suffix.lower() == ".gz" else size):
        raise InputError(
            f"{name} is broken or cut off (its header claims {needed:,} bytes of voxels, the file "
            f"has {size:,}): copy or export the file again."
        )


def write_nifti(path: Path, values: np.ndarray, volume: Volume) -> None:
    """Labels, a mask or shares, on the grid of ``volume``.

    Of a NIfTI input everything in the header stays but the type of the voxels and their
    scaling: affine, both orientation codes, units.

    Args:
      path: ends in ``.nii.gz``.
      values: (X, Y, Z) uint8, uint16, int32 or float32.
      volume: gives affine and header.
    """
    nib = need("nibabel", "Writing NIfTI")
    if volume.form == "nifti":
        header = volume.origin.header.copy()
        header.set_data_dtype(values.dtype)
        header.set_slope_inter(1, 0)
        header["cal_min"] = header["cal_max"] = 0
        second = isinstance(header, nib.Nifti2Header)
        kind = nib.Nifti2Image if second else nib.Nifti1Image
        image = kind(values, None, header)  # with an affine, nibabel would set a code
    else:
        image = nib.Nifti1Image(values, volume.affine)
        image.header.set_xyzt_units("mm")
        image.set_qform(volume.affine, code="scanner")
        image.set_sform(volume.affine, code="scanner")
    content = _compressed(image.to_bytes())
    with replacing(path) as file:
        file.write(content)


def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, 6, mtime=0)  # the same result is the same bytes
