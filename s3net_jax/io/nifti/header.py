"""Read NIfTI headers like the reference implementation (nifti_clib, used by FSL and ITK).

nibabel rejects some fields that the reference implementation repairs, or turns them into NaN: a
quaternion slightly longer than 1 due to rounding, non-finite numbers, dimensions of 0. Other
programs can open such files, so the fields are repaired in the same way here. Results keep the
stored fields that readers interpret differently (see :func:`read_geometry_fields`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io.affine import MISPLACED, measure_corner_distance
from s3net_jax.io.extras import import_extra

__all__ = ["UNITS", "load_nifti", "place_nifti", "read_geometry_fields"]

UNITS = {1: 1e3, 2: 1.0, 3: 1e-3}
"""Millimetres per NIfTI unit code: 1 metre, 2 millimetre, 3 micrometre; 0 is unknown."""

_GEOMETRY = (
    *("pixdim", "qform_code", "sform_code", "xyzt_units"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
_LAST_CODE = 5  # largest qform or sform code defined by NIfTI


def load_nifti(path: Path) -> Any:
    """Open a NIfTI file with nibabel and repair its header where that is harmless.

    Returns:
      A nibabel image, or None if the file is not NIfTI.

    Raises:
      Exception: any exception from nibabel for broken files.
    """
    sniff = None
    for kind in _list_image_kinds():
        matches, sniff = kind.path_maybe_image(path, sniff)
        if matches:
            return kind.from_filename(path)
    return None


def read_geometry_fields(image: Any) -> dict[str, np.ndarray]:
    """Read the header fields that define the affine, to copy them into results.

    Stored values are kept, so a reader with its own interpretation of a field (a negative
    spacing, an unknown code) treats input and result alike. Only values that nibabel cannot read
    are repaired.
    """
    files = image.file_map
    with files.get("header", files["image"]).get_prepare_fileobj("rb") as file:
        block = file.read(image.header.template_dtype.itemsize)
    header = type(image.header)(block, None, False)
    _repair_numbers(header)
    return {name: header[name].copy() for name in _GEOMETRY}


def place_nifti(image: Any, name: str) -> tuple[np.ndarray, list[str]]:
    """Return the affine of ``image`` in millimetres, and notes about irregularities.

    As in nibabel, the sform has priority, then the qform, then an affine from only the spacing.

    Raises:
      InputError: the affine is singular.
    """
    header, shape = image.header, tuple(int(side) for side in image.shape)
    sform, qform = header.get_sform(coded=True)[0], header.get_qform(coded=True)[0]
    notes = []
    if sform is not None:
        sform = _complete_single_slices(sform, shape)
        if qform is not None and _is_singular(sform):
            notes.append(f"{name} has a singular sform; its qform is used.")
            sform = None
    affine = next((form for form in (sform, qform) if form is not None), header.get_base_affine())
    affine = _complete_single_slices(affine, shape)
    if not np.isfinite(affine).all() or _is_singular(affine):
        raise InputError(f"{name} has a singular affine matrix: repair it first.")
    scale = np.diag([*(UNITS.get(int(header["xyzt_units"]) & 7, 1.0),) * 3, 1.0])
    if sform is not None and qform is not None:
        distance = measure_corner_distance(scale @ sform, scale @ qform, shape)
        side = np.linalg.norm((scale @ affine)[:3, :3], axis=0).min()
        if distance > MISPLACED * side:
            notes.append(
                f"{name} has a qform and an sform that differ by up to {distance:.3g} mm; the "
                "sform is used, as in nibabel, while ITK mostly uses the qform. The results keep "
                "both."
            )
    return scale @ affine, notes


def _complete_single_slices(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Replace a zero step along an axis of length 1 by a unit step orthogonal to the others.

    The step along such an axis has no effect, so some files store zeros, which makes the matrix
    singular.
    """
    affine = np.array(affine, np.float64)
    lacking = [
        axis
        for axis, side in enumerate((*shape, 1, 1)[:3])
        if side == 1 and not affine[:3, axis].any()
    ]
    if len(lacking) == 1:
        others = np.delete(affine[:3, :3], lacking[0], axis=1)
        normal = np.cross(others[:, 0], others[:, 1])
        length = np.linalg.norm(normal)
        if length > 0:
            affine[:3, lacking[0]] = normal / length * (-1 if lacking[0] == 1 else 1)
    return affine


def _is_singular(affine: np.ndarray) -> bool:
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    if not (np.isfinite(spacing).all() and spacing.min() > 0):
        return True
    # float32 has seven digits: axes this close to one plane cannot be told from coplanar ones.
    return abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-6


@cache
def _list_image_kinds() -> tuple[Any, ...]:
    """Return image classes with repaired headers: NIfTI-1 and -2, single files and pairs."""
    nib = import_extra("nibabel", "NIfTI")
    kinds = []
    for image in (nib.Nifti1Pair, nib.Nifti1Image, nib.Nifti2Pair, nib.Nifti2Image):
        header = type(image.header_class.__name__, (_Repaired, image.header_class), {})
        kinds.append(type(image.__name__, (image,), {"header_class": header}))
    return tuple(kinds)


class _Repaired:
    """Mixin for nibabel's headers that repairs fields before nibabel checks them."""

    @classmethod
    def from_fileobj(cls, fileobj: Any, endianness: Any = None, check: bool = True) -> Any:
        start = fileobj.tell()
        try:
            header = super().from_fileobj(fileobj, endianness, False)  # pyright: ignore[reportAttributeAccessIssue]
        except Exception:  # broken extensions do not affect the voxels: read without them
            fileobj.seek(start)
            size = cls.template_dtype.itemsize  # pyright: ignore[reportAttributeAccessIssue]
            header = cls(fileobj.read(size), endianness, False)  # pyright: ignore[reportCallIssue]
        _repair(header)
        if check:
            header.check_fix()  # pyright: ignore[reportAttributeAccessIssue]
        return header

    @classmethod
    def _get_checks(cls) -> Any:
        checks = super()._get_checks()  # pyright: ignore[reportAttributeAccessIssue]
        # Files whose voxels directly follow the header, without the four extension bytes, are
        # readable, so the check of the offset is dropped.
        return tuple(check for check in checks if check.__name__ != "_chk_offset")


def _repair_numbers(header: Any) -> None:
    """Set non-finite numbers to 0 and zero spacings to 1, and shorten quaternions to length 1."""
    for name in _GEOMETRY:
        if header[name].dtype.kind == "f":
            header[name] = np.where(np.isfinite(header[name]), header[name], 0)
    pixdim = header["pixdim"].copy()
    pixdim[1:] = np.where(pixdim[1:] == 0, 1, pixdim[1:])
    header["pixdim"] = pixdim
    quaternion = np.array([header[f"quatern_{letter}"] for letter in "bcd"], np.float64)
    length = np.linalg.norm(quaternion)
    if length > 1:
        for letter, value in zip("bcd", quaternion / length, strict=True):
            header[f"quatern_{letter}"] = value


def _repair(header: Any) -> None:
    _repair_numbers(header)
    pixdim = header["pixdim"].copy()
    pixdim[0] = -1 if pixdim[0] < 0 else 1
    header["pixdim"] = pixdim
    for name in ("qform_code", "sform_code"):  # any positive code means that the form is present
        code = int(header[name])
        header[name] = 1 if code > _LAST_CODE else max(code, 0)
    dim = header["dim"].copy()
    if 1 <= dim[0] <= 7:
        used = slice(2, int(dim[0]) + 1)
        dim[used] = np.where(dim[used] < 1, 1, dim[used])
        header["dim"] = dim
    if not np.isfinite(header["scl_inter"]):
        header["scl_inter"] = 0
