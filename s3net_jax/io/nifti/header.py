"""NIfTI headers as the reference implementation (nifti_clib, thus FSL and ITK) takes them.

nibabel refuses, or turns into NaN, some fields that the reference implementation repairs: a
quaternion that rounding made longer than 1, numbers that are not finite, dimensions of 0. A file
with such a field is sound to everybody else, so the fields are repaired in the same way here. What
is written keeps those that readers take in different ways (see :func:`read_geometry_fields`).
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
"""Millimetres in each unit of length: metres, millimetres, micrometres. 0 is unknown."""

_GEOMETRY = (
    *("pixdim", "qform_code", "sform_code", "xyzt_units"),
    *("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z"),
    *("srow_x", "srow_y", "srow_z"),
)
_LAST_CODE = 5  # of those that NIfTI defines


def load_nifti(path: Path) -> Any:
    """Open a NIfTI file with nibabel, its header repaired where that is harmless.

    Returns:
      A nibabel image, or None if the file is not NIfTI.

    Raises:
      Exception: whatever nibabel raises for files that are broken.
    """
    sniff = None
    for kind in _list_image_kinds():
        matches, sniff = kind.path_maybe_image(path, sniff)
        if matches:
            return kind.from_filename(path)
    return None


def read_geometry_fields(image: Any) -> dict[str, np.ndarray]:
    """Read the fields of a header that say where the voxels lie, for the results.

    They are as stored, so that a reader which takes one in its own way (a negative spacing, an
    unknown code) takes it alike in input and result; but what nibabel would not read is repaired.
    """
    files = image.file_map
    with files.get("header", files["image"]).get_prepare_fileobj("rb") as file:
        block = file.read(image.header.template_dtype.itemsize)
    header = type(image.header)(block, None, False)
    _repair_numbers(header)
    return {name: header[name].copy() for name in _GEOMETRY}


def place_nifti(image: Any, name: str) -> tuple[np.ndarray, list[str]]:
    """Return the affine of ``image`` in millimetres, and notes on what is odd about it.

    The sform counts if the file has one, then the qform, then the spacing alone, as in nibabel.

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
        raise InputError(f"{name} has an affine matrix that is singular: repair it first.")
    scale = np.diag([*(UNITS.get(int(header["xyzt_units"]) & 7, 1.0),) * 3, 1.0])
    if sform is not None and qform is not None:
        distance = measure_corner_distance(scale @ sform, scale @ qform, shape)
        side = np.linalg.norm((scale @ affine)[:3, :3], axis=0).min()
        if distance > MISPLACED * side:
            notes.append(
                f"{name} has a qform and an sform that place its voxels up to {distance:.3g} mm "
                "apart; the sform is used, as by nibabel, while ITK mostly uses the qform. The "
                "results have both."
            )
    return scale @ affine, notes


def _complete_single_slices(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Along an axis of length 1 no step is ever taken, so that files leave it out: there, a
    step of zero becomes 1, at right angles to the others."""
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
    # float32 gives seven digits; axes nearer than that to one plane are in it.
    return abs(np.linalg.det(affine[:3, :3] / spacing)) < 1e-6


@cache
def _list_image_kinds() -> tuple[Any, ...]:
    """NIfTI-1 and -2, as one file or as a pair."""
    nib = import_extra("nibabel", "NIfTI")
    kinds = []
    for image in (nib.Nifti1Pair, nib.Nifti1Image, nib.Nifti2Pair, nib.Nifti2Image):
        header = type(image.header_class.__name__, (_Repaired, image.header_class), {})
        kinds.append(type(image.__name__, (image,), {"header_class": header}))
    return tuple(kinds)


class _Repaired:
    """Mixed into nibabel's headers: repairs what was read before it is checked."""

    @classmethod
    def from_fileobj(cls, fileobj: Any, endianness: Any = None, check: bool = True) -> Any:
        start = fileobj.tell()
        try:
            header = super().from_fileobj(fileobj, endianness, False)  # pyright: ignore[reportAttributeAccessIssue]
        except Exception:  # extensions may be broken: they say nothing about the voxels
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
        # Voxels right after the header, without the four bytes for extensions, can be read.
        return tuple(check for check in checks if check.__name__ != "_chk_offset")


def _repair_numbers(header: Any) -> None:
    """What is not finite becomes 0, a spacing of 0 becomes 1, a quaternion at most 1 long."""
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
    for name in ("qform_code", "sform_code"):  # any positive code means that the form is there
        code = int(header[name])
        header[name] = 1 if code > _LAST_CODE else max(code, 0)
    dim = header["dim"].copy()
    if 1 <= dim[0] <= 7:
        used = slice(2, int(dim[0]) + 1)
        dim[used] = np.where(dim[used] < 1, 1, dim[used])
        header["dim"] = dim
    if not np.isfinite(header["scl_inter"]):
        header["scl_inter"] = 0
