"""Test where pixel sizes come from: options, and the files of every format."""

# pyright: reportArgumentType=false
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from s3net_jax.errors import ConfigError
from s3net_jax.io import SliceView, Volume, read_resolution, read_stack
from s3net_jax.measure import (
    check_pixel_size,
    find_picture_spacing,
    find_volume_spacing,
    parse_pixel_size,
)
from tests.volumes import ball, save_dicom, save_nifti


def test_what_is_typed() -> None:
    assert parse_pixel_size("0.5") == (0.5, 0.5)
    assert parse_pixel_size("0.5, 1e-3") == (0.5, 0.001)
    assert parse_pixel_size("1,2,3") == (1, 2, 3)
    for text in ("", "wide", "0", "-1", "1,", "1,2,3,4", "nan", "inf", "1;2"):
        with pytest.raises(ConfigError, match="The pixel size can't be"):
            parse_pixel_size(text)
    assert check_pixel_size(None) is None
    assert check_pixel_size(2) == (2, 2) and check_pixel_size(np.array([1, 2])) == (1, 2)
    with pytest.raises(ValueError, match=r"can't be \[\]"):
        check_pixel_size([])


def read_lengths(path: Path, given: Any = None) -> tuple[str, list[float]] | None:
    """Source, and millimetres between rows and between columns, rounded."""
    found = find_picture_spacing(read_resolution(path), given)
    return None if found is None else (found.source, found.lengths.round(6).tolist())


PAGE = np.arange(99, dtype=np.uint8).reshape(9, 11)


def test_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PAGE, resolution=(50, 100), resolutionunit="CENTIMETER", metadata=None)
    assert read_lengths(path) == ("TIFF", [0.1, 0.2])
    assert read_lengths(path, (2, 3)) == ("option", [3, 2])
    tifffile.imwrite(path, PAGE, imagej=True, resolution=(4, 2), metadata={"unit": "um"})
    assert read_lengths(path) == ("ImageJ", [0.0005, 0.00025])
    sizes = {"PhysicalSizeX": 0.25, "PhysicalSizeY": 0.5, "PhysicalSizeXUnit": "mm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", PAGE, metadata={**sizes, "PhysicalSizeYUnit": "mm"})
    assert read_lengths(tmp_path / "a.ome.tif") == ("OME-TIFF", [0.5, 0.25])


@pytest.mark.parametrize("dots", [72, 96])
def test_resolutions_of_screens_say_nothing(tmp_path: Path, dots: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PAGE, resolution=(dots, dots), resolutionunit="INCH")
    assert read_lengths(tmp_path / "a.tif") is None


def test_resolutions_of_prints_say_nothing(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.bmp"):
        PilImage.fromarray(PAGE).save(tmp_path / name, dpi=(300, 300))
        assert read_resolution(tmp_path / name) is not None
        assert read_lengths(tmp_path / name) is None
    tifffile.imwrite(tmp_path / "a.tif", PAGE, metadata=None)
    assert read_lengths(tmp_path / "a.tif") is None
    assert read_lengths(tmp_path / "a.tif", (1, 1)) == ("option", [1, 1])


def test_stacks(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", np.zeros((3, 9, 11), np.uint8)
    details = {"unit": "mm", "spacing": 2.5, "slices": 3}
    tifffile.imwrite(path, pages, imagej=True, resolution=(4, 2), metadata=details)
    view, resolution = SliceView(read_stack(path)), read_resolution(path)
    found = find_volume_spacing(view, resolution)
    assert found is not None and found.source == "ImageJ"
    assert found.lengths == pytest.approx([2.5, 0.5, 0.25])
    assert found.pixel == pytest.approx(2.5 * 0.5 * 0.25)
    given = find_volume_spacing(view, resolution, (1.0, 2.0))
    assert given is not None and given.lengths == pytest.approx([2.5, 2, 1])
    plain: dict[str, Any] = {"photometric": "minisblack", "metadata": None}
    tifffile.imwrite(path, pages, resolution=(4, 2), resolutionunit="CENTIMETER", **plain)
    found = find_volume_spacing(SliceView(read_stack(path)), read_resolution(path))
    assert found is not None and found.lengths[1:] == pytest.approx([5, 2.5])
    assert np.isnan(found.lengths[0]) and np.isnan(found.pixel)
    tifffile.imwrite(path, pages, **plain)
    view = SliceView(read_stack(path))
    assert find_volume_spacing(view, read_resolution(path)) is None
    given = find_volume_spacing(view, None, (1, 2, 3))
    assert given is not None and given.lengths == pytest.approx([3, 2, 1])


def test_nifti(tmp_path: Path) -> None:
    """Also with oblique, sheared slices: the volume of a voxel is exact."""
    pytest.importorskip("nibabel")
    from s3net_jax.io import read_nifti

    save_nifti(tmp_path / "a.nii.gz", ball()[0])
    volume = read_nifti(tmp_path / "a.nii.gz")
    found = find_volume_spacing(SliceView(volume), None)
    assert volume.affine is not None and found is not None and found.source == "NIfTI"
    assert found.pixel == pytest.approx(abs(np.linalg.det(volume.affine[:3, :3])))
    assert sorted(found.lengths) == pytest.approx(
        sorted(np.linalg.norm(volume.affine[:3, :3], axis=0))
    )
    assert found.pixel < np.prod(found.lengths)


def read_series(folder: Path) -> Volume:
    from s3net_jax.io import read_dicom

    return read_dicom(sorted(folder.iterdir()))


def test_dicom(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    pytest.importorskip("nibabel")
    save_dicom(tmp_path / "a", ball()[0])
    found = find_volume_spacing(SliceView(read_series(tmp_path / "a")), None)
    assert found is not None and found.source == "DICOM"
    assert found.lengths == pytest.approx([2.5, 0.8, 0.7])
    assert found.flatten().lengths == pytest.approx([0.8, 0.7])


def test_distances_that_a_dicom_reader_assumes_are_unknown(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    pytest.importorskip("nibabel")
    save_dicom(tmp_path / "a", ball()[0], PixelSpacing=None)
    volume = read_series(tmp_path / "a")
    assert volume.unknown == ("pixels",)
    assert find_volume_spacing(SliceView(volume), None) is None
    nowhere = {"ImagePositionPatient": None, "SliceThickness": None}
    save_dicom(tmp_path / "b", ball()[0], **nowhere)
    volume = read_series(tmp_path / "b")
    found = find_volume_spacing(SliceView(volume), None)
    assert volume.unknown == ("slices",) and found is not None
    assert np.isnan(found.pixel) and found.lengths[1:] == pytest.approx([0.8, 0.7])
