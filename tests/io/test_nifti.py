"""NIfTI in and out: values, geometry, and files that are not what they claim."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from s3net_jax.io import InputError, read_nifti, write_nifti
from tests.volumes import OBLIQUE, ball, save_nifti

nib = pytest.importorskip("nibabel")


def test_values_are_scaled_and_geometry_is_kept(tmp_path: Path) -> None:
    values, _ = ball()
    image = nib.Nifti1Image(values, OBLIQUE)
    image.header.set_slope_inter(2.0, -5.0)
    image.set_qform(None, 0)
    image.set_sform(OBLIQUE, 2)
    image.header["descrip"] = b"as it was"
    nib.save(image, tmp_path / "a.nii.gz")
    volume = read_nifti(tmp_path / "a.nii.gz")
    expected = np.asarray(nib.load(tmp_path / "a.nii.gz").dataobj)
    np.testing.assert_allclose(volume.voxels, expected)
    write_nifti(tmp_path / "b.nii.gz", (values < 0).astype(np.uint8), volume)
    back = nib.load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(np.asarray(back.dataobj), values < 0)
    np.testing.assert_allclose(back.affine, OBLIQUE, atol=1e-6)
    assert (int(back.header["sform_code"]), int(back.header["qform_code"])) == (2, 0)
    assert back.header["descrip"].item() == b"as it was"
    assert back.get_data_dtype() == np.uint8


def test_a_third_opinion(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    values, truth = ball()
    rotation = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([0.7, 0.9, 3.0])
    affine[:3, 3] = (5, -6, 7)
    save_nifti(tmp_path / "a.nii", values, affine, qform_code=1, sform_code=1)
    write_nifti(tmp_path / "b.nii.gz", truth.astype(np.uint8), read_nifti(tmp_path / "a.nii"))
    before, after = (sitk.ReadImage(str(tmp_path / n)) for n in ("a.nii", "b.nii.gz"))
    np.testing.assert_allclose(before.GetOrigin(), after.GetOrigin(), atol=1e-5)
    np.testing.assert_allclose(before.GetSpacing(), after.GetSpacing(), atol=1e-5)
    np.testing.assert_allclose(before.GetDirection(), after.GetDirection(), atol=1e-5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(after).T, truth)


def test_nan_counts_as_the_smallest_value(tmp_path: Path) -> None:
    values = ball()[0].astype(np.float32)
    values[0] = np.nan
    save_nifti(tmp_path / "a.nii", values)
    volume = read_nifti(tmp_path / "a.nii")
    assert np.isfinite(volume.voxels).all() and volume.voxels[0, 0, 0] == np.nanmin(values)
    assert "NaN" in volume.notes[0]
    save_nifti(tmp_path / "b.nii", np.full((9, 9, 9), np.nan, np.float32))
    with pytest.raises(InputError, match="no finite value"):
        read_nifti(tmp_path / "b.nii")


def test_other_dimensions(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 99, (10, 11, 3, 2), dtype=np.int16)
    save_nifti(tmp_path / "time.nii", values)
    volume = read_nifti(tmp_path / "time.nii")
    np.testing.assert_array_equal(volume.voxels, values[..., 0])
    assert "2 volumes; only the first" in volume.notes[0]
    save_nifti(tmp_path / "one.nii", values[..., :1])
    assert not read_nifti(tmp_path / "one.nii").notes
    save_nifti(tmp_path / "flat.nii", values[:, :, 0, 0])
    assert read_nifti(tmp_path / "flat.nii").shape == (10, 11, 1)


def test_colours(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (8, 9, 4, 3), dtype=np.uint8)
    rgb = colors.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    nib.save(nib.Nifti1Image(rgb, np.eye(4)), tmp_path / "a.nii")
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii").voxels, colors)


def test_a_second_version_comes_back_as_one(tmp_path: Path) -> None:
    values, _ = ball()
    nib.save(nib.Nifti2Image(values, OBLIQUE), tmp_path / "a.nii")
    volume = read_nifti(tmp_path / "a.nii")
    write_nifti(tmp_path / "b.nii.gz", values.astype(np.uint8), volume)
    assert isinstance(nib.load(tmp_path / "b.nii.gz"), nib.Nifti2Image)


def test_a_volume_without_codes_comes_back_without(tmp_path: Path) -> None:
    """Readers differ in where such a volume lies, so the result must be as silent as the input."""
    values, _ = ball()
    image = nib.Nifti1Image(values, None)
    image.header["pixdim"][1:4] = 0.7, 0.8, 3
    nib.save(image, tmp_path / "a.nii")
    write_nifti(tmp_path / "b.nii.gz", values.astype(np.uint8), read_nifti(tmp_path / "a.nii"))
    before, after = nib.load(tmp_path / "a.nii"), nib.load(tmp_path / "b.nii.gz")
    assert (int(after.header["sform_code"]), int(after.header["qform_code"])) == (0, 0)
    np.testing.assert_array_equal(before.affine, after.affine)
    np.testing.assert_array_equal(before.header.get_zooms(), after.header.get_zooms())


def test_values_beyond_single_precision(tmp_path: Path) -> None:
    values = ball()[0].astype(np.float64)
    for scale in (1e200, 1e-200):
        save_nifti(tmp_path / "a.nii", values * scale)
        volume = read_nifti(tmp_path / "a.nii")
        np.testing.assert_array_equal(volume.voxels, values * scale)
        assert not volume.notes


def broken_files(tmp_path: Path) -> dict[str, bytes]:
    save_nifti(tmp_path / "good.nii", ball()[0])
    save_nifti(tmp_path / "good.nii.gz", ball()[0])
    plain, packed = (tmp_path / "good.nii").read_bytes(), (tmp_path / "good.nii.gz").read_bytes()
    huge = bytearray(plain)
    huge[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    negative = bytearray(plain)
    negative[42:44] = np.array([-4], "<i2").tobytes()
    large = bytearray(plain)
    large[42:48] = np.array([700, 700, 700], "<i2").tobytes()
    return {
        "empty.nii": b"",
        "text.nii": b"no volume at all",
        "cut.nii": plain[:600],
        "cut.nii.gz": packed[: len(packed) // 2],
        "end.nii.gz": packed[:-5],
        "sum.nii.gz": packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:],
        "notgz.nii.gz": plain,
        "huge.nii": bytes(huge),
        "negative.nii": bytes(negative),
        "large.nii": bytes(large),
        "header.nii": plain[:348],
    }


def test_broken_files_get_one_sentence(tmp_path: Path) -> None:
    for name, content in broken_files(tmp_path).items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_nifti(tmp_path / name)
        text = str(caught.value)
        assert name in text and "\n" not in text and text.endswith("."), text
    with pytest.raises(InputError, match="not exist"):
        read_nifti(tmp_path / "missing.nii")


def test_a_singular_affine_is_refused(tmp_path: Path) -> None:
    save_nifti(tmp_path / "a.nii", ball()[0])
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[280:296] = bytes(16)  # the first row of the affine
    (tmp_path / "a.nii").write_bytes(content)
    with pytest.raises(InputError, match="singular"):
        read_nifti(tmp_path / "a.nii")
