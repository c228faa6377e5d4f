"""Where others find our NIfTI results: SimpleITK and nibabel, where they find the input."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.io import read_nifti, write_nifti
from tests.fakes import install_fit
from tests.run import small

nib = pytest.importorskip("nibabel")
sitk = pytest.importorskip("SimpleITK")


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def segment(tmp_path: Path, path: Path) -> list[str]:
    """Write the results of ``path``; return the notes."""
    assert small.run(tmp_path, path).done == 1
    (line,) = small.lines(tmp_path)
    return line["notes"]


def make_oblique() -> np.ndarray:
    affine = np.eye(4)
    rotation = np.array([[0.8, -0.6, 0], [0.48, 0.64, 0.6], [-0.36, -0.48, 0.8]])
    affine[:3, :3] = rotation @ np.diag([0.7, 0.9, 3.0])
    affine[:3, 3] = -5, 6, 17
    return affine


@pytest.mark.slow
def test_nifti_in_every_orientation(tmp_path: Path) -> None:
    """48 orders and signs of axes, oblique: the result has the input's matrices to the bit."""
    values = np.random.default_rng(0).integers(0, 99, (9, 10, 11)).astype(np.int16)
    image = nib.Nifti1Image(values, make_oblique())
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turned = image.as_reoriented(np.array(list(zip(order, signs, strict=True))))
            turned.set_qform(turned.affine, 1)
            turned.set_sform(turned.affine, 1)
            nib.save(turned, tmp_path / "a.nii")
            volume = read_nifti(tmp_path / "a.nii")
            write_nifti(tmp_path / "b.nii.gz", volume.voxels.astype(np.uint8), volume)
            check_same(tmp_path / "a.nii", tmp_path / "b.nii.gz", values=True)
            dicom = type(volume)(volume.voxels, turned.affine, "d", tmp_path, "dicom")
            write_nifti(tmp_path / "c.nii.gz", volume.voxels.astype(np.uint8), dicom)
            header = nib.load(tmp_path / "c.nii.gz").header
            np.testing.assert_allclose(header.get_sform(), turned.affine, atol=1e-6)
            np.testing.assert_allclose(header.get_qform(), turned.affine, atol=1e-5)


def check_same(before: Path, after: Path, values: bool = False) -> None:
    """SimpleITK and nibabel find a result where they find its input."""
    if isinstance(nib.load(after), nib.Nifti2Image):  # which SimpleITK does not read
        np.testing.assert_array_equal(nib.load(before).affine, nib.load(after).affine)
        return
    one, other = sitk.ReadImage(str(before)), sitk.ReadImage(str(after))
    for name in ("GetSize", "GetOrigin", "GetSpacing"):
        assert getattr(one, name)() == getattr(other, name)(), name
    # A quaternion that was too long is stored in float32 again.
    np.testing.assert_allclose(one.GetDirection(), other.GetDirection(), atol=1e-6)
    result = nib.load(after)
    assert np.isfinite(result.affine).all(), "nibabel reads every result"
    try:
        source = nib.load(before)
    except (ValueError, nib.spatialimages.HeaderDataError):  # nibabel doesn't read all of them
        return
    if np.isfinite(source.affine).all():
        np.testing.assert_array_equal(source.affine, result.affine)
    if values:
        np.testing.assert_array_equal(np.asarray(source.dataobj), np.asarray(result.dataobj))
        np.testing.assert_array_equal(*map(sitk.GetArrayFromImage, (one, other)))


def scan(shape: tuple[int, ...] = (40, 44, 6)) -> np.ndarray:
    grid = np.indices(shape[:2])
    disc = ((grid[0] - 22) / 9) ** 2 + ((grid[1] - 20) / 10) ** 2 < 1
    values = np.random.default_rng(0).integers(0, 30, shape) + 400
    values[disc] -= 400
    return values.astype(np.int16)


def edit(path: Path, **fields: Any) -> None:
    """Set fields of a NIfTI-1 header as they are, sound or not."""
    content = path.read_bytes()
    header = nib.Nifti1Header(content[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    path.write_bytes(header.binaryblock + content[348:])


HEADERS: dict[str, dict[str, Any]] = {
    "sound": {},
    "qform only": {"sform_code": 0},
    "sform only": {"qform_code": 0},
    "no codes": {"qform_code": 0, "sform_code": 0},
    "metres": {"xyzt_units": 1},
    "micrometres": {"xyzt_units": 3},
    "no unit": {"xyzt_units": 0},
    "quaternion a little long": {"sform_code": 0, "quatern_b": 0.93145, "quatern_c": 0.35},
    "quaternion too long": {"sform_code": 0, "quatern_b": 0.9, "quatern_c": 0.7},
    "quaternion of NaN": {"sform_code": 0, "quatern_b": np.nan},
    "offset of NaN": {"sform_code": 0, "qoffset_x": np.nan},
    "qfac 0": {"sform_code": 0, "pixdim": [0, 0.7, 0.9, 3, 1, 1, 1, 1]},
    "qfac -2": {"sform_code": 0, "pixdim": [-2, 0.7, 0.9, 3, 1, 1, 1, 1]},
    "pixdim 0": {"sform_code": 0, "pixdim": [1, 0.7, 0.9, 0, 1, 1, 1, 1]},
    "pixdim NaN": {"sform_code": 0, "pixdim": [1, 0.7, 0.9, np.nan, 1, 1, 1, 1]},
    "pixdim negative": {"sform_code": 0, "pixdim": [1, -0.7, 0.9, 3, 1, 1, 1, 1]},
    "code 9": {"sform_code": 0, "qform_code": 9},
    "intercept of NaN": {"scl_slope": 2, "scl_inter": np.nan},
    "slope 0": {"scl_slope": 0, "scl_inter": 7},
    "slope of NaN": {"scl_slope": np.nan, "scl_inter": np.nan},
    "size of header 0": {"sizeof_hdr": 0},
    "fourth side 0": {"dim": [4, 40, 44, 6, 0, 1, 1, 1]},
    "five sides": {"dim": [5, 40, 44, 6, 1, 1, 1, 1]},
    "intent": {"intent_code": 1007},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HEADERS)
def test_nifti_headers(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.nii"
    image = nib.Nifti1Image(scan(), make_oblique())
    image.set_qform(make_oblique(), 1)
    image.set_sform(make_oblique(), 1)
    nib.save(image, path)
    edit(path, **HEADERS[name])
    notes = segment(tmp_path, path)
    assert not notes
    check_same(path, tmp_path / "out/a.mask.nii.gz")
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "out/a.mask.nii.gz"))).T > 0
    truth = scan() < 200
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.9
    scale = {"metres": 1000, "micrometres": 0.001}.get(name, 1)
    affine = read_nifti(path).affine
    assert affine is not None
    unit = np.linalg.norm(affine[:3, :2], axis=0)
    np.testing.assert_allclose(unit, np.array([0.7, 0.9]) * scale, rtol=1e-6)


def test_forms_that_differ(tmp_path: Path) -> None:
    """Both stay: each reader sees the mask over the input as it sees the input."""
    path = tmp_path / "a.nii"
    image = nib.Nifti1Image(scan(), make_oblique())
    moved = make_oblique()
    moved[:3, 3] += 3, 4, 0
    image.set_qform(make_oblique(), 1)
    image.set_sform(moved, 2)
    nib.save(image, path)
    (note,) = segment(tmp_path, path)
    assert "differ by up to 5 mm; the sform is used" in note
    check_same(path, tmp_path / "out/a.mask.nii.gz")
    image.set_sform(np.zeros((4, 4)), 2)
    nib.save(image, path)
    assert "singular sform; its qform is used" in read_nifti(path).notes[0]


@pytest.mark.parametrize("kind", ["pair", "second version", "big endian", "two sides", "one page"])
def test_nifti_files(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("a.hdr" if kind == "pair" else "a.nii")
    shape = {"two sides": (40, 44), "one page": (40, 44, 1)}.get(kind, (40, 44, 6))
    header = nib.Nifti1Header(endianness=">") if kind == "big endian" else None
    image_class = {"pair": nib.Nifti1Pair, "second version": nib.Nifti2Image}
    image = image_class.get(kind, nib.Nifti1Image)(scan(shape), make_oblique(), header)
    image.set_qform(make_oblique(), 1)
    image.set_sform(make_oblique(), 1)
    nib.save(image, path)
    assert not segment(tmp_path, path)
    check_same(path, tmp_path / "out/a.mask.nii.gz")
    assert nib.load(tmp_path / "out/a.mask.nii.gz").shape == shape


def test_a_flat_matrix_of_a_flat_file(tmp_path: Path) -> None:
    """Two-dimensional files may leave out the step that is never taken."""
    path = tmp_path / "a.nii"
    image = nib.Nifti1Image(scan((40, 44)), np.diag([0.7, 0.9, 1, 1]))
    nib.save(image, path)
    edit(path, srow_z=[0, 0, 0, 0], qform_code=0, sform_code=1)
    assert not segment(tmp_path, path)
    assert nib.load(tmp_path / "out/a.mask.nii.gz").shape == (40, 44)


def test_names_unlike_their_contents(tmp_path: Path) -> None:
    nib.save(nib.Nifti1Image(scan(), make_oblique()), tmp_path / "a.nii")
    nib.save(nib.Nifti1Image(scan(), make_oblique()), tmp_path / "b.nii.gz")
    (tmp_path / "a.nii").rename(tmp_path / "c.nii.gz")
    (tmp_path / "b.nii.gz").rename(tmp_path / "d.nii")
    for name, words in (("c.nii.gz", "rename it to c.nii"), ("d.nii", "rename it to d.nii.gz")):
        with pytest.raises(ValueError, match=words) as caught:
            read_nifti(tmp_path / name)
        assert "broken" not in str(caught.value)
