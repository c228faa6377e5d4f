"""DICOM in, DICOM SEG and NIfTI out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.config import Config
from s3net_jax.io import InputError, SliceView, read_dicom, write_nifti, write_seg
from s3net_jax.io.dicom.reading import is_dicom, sort_into_series
from s3net_jax.run.cases import VolumeCase
from tests.volumes import ball, save_dicom

pydicom = pytest.importorskip("pydicom")
nib = pytest.importorskip("nibabel")


@pytest.mark.parametrize("compress", [None, "rle", "jpeg2000"])
@pytest.mark.parametrize(("slope", "intercept"), [(1.0, -1024.0), (0.5, -1000.0)])
def test_a_series_is_sorted_and_rescaled(tmp_path: Path, compress, slope, intercept) -> None:
    if compress == "jpeg2000":
        pytest.importorskip("openjpeg")
    values, _ = ball((40, 36, 9))
    files = save_dicom(tmp_path, values, compress=compress, slope=slope, intercept=intercept)
    volume = read_dicom(sorted(files))
    np.testing.assert_allclose(volume.voxels, values)
    assert volume.form == "dicom" and not volume.notes and volume.acquired == 2
    # The centre of voxel (c, r, s) by the standard's formula (C.7.6.2.1.1), LPS to RAS.
    data = pydicom.dcmread(files[4])
    row, column = np.reshape(data.ImageOrientationPatient, (2, 3))
    place = data.ImagePositionPatient + row * 0.7 * 5 + column * 0.8 * 6
    assert volume.affine is not None
    found = volume.affine @ (5, 6, 4, 1)
    np.testing.assert_allclose(found[:3], place * (-1, -1, 1), atol=1e-9)


def test_geometry_agrees_with_simpleitk(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    values, truth = ball()
    files = save_dicom(tmp_path / "in", values)
    volume = read_dicom(files)
    write_nifti(tmp_path / "mask.nii.gz", truth.astype(np.uint8), volume)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "in")))
    before, after = reader.Execute(), sitk.ReadImage(str(tmp_path / "mask.nii.gz"))
    for name in ("GetSize", "GetOrigin", "GetSpacing", "GetDirection"):
        np.testing.assert_allclose(getattr(before, name)(), getattr(after, name)(), atol=1e-5)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(after).T, truth)


def test_a_segmentation_object(tmp_path: Path) -> None:
    hd = pytest.importorskip("highdicom")
    values, truth = ball()
    files = save_dicom(tmp_path / "in", values)
    volume = read_dicom(files)
    write_seg(tmp_path / "seg.dcm", truth, truth.astype(int), volume)
    seg = hd.seg.segread(tmp_path / "seg.dcm")
    assert [str(s.segment_label) for s in seg.SegmentSequence] == [
        "Target",
        "Cluster 0",
        "Cluster 1",
    ]
    uids = [str(data.SOPInstanceUID) for data in volume.origin]
    frames = seg.get_pixels_by_source_instance(uids, segment_numbers=[1])
    np.testing.assert_array_equal(frames[..., 0].transpose(2, 1, 0), truth)
    assert seg.FrameOfReferenceUID == volume.origin[0].FrameOfReferenceUID


def test_a_series_without_identifiers_gets_no_segmentation_object(tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    values, truth = ball()
    volume = read_dicom(save_dicom(tmp_path, values, StudyInstanceUID=""))
    with pytest.raises(InputError, match="its files lack StudyInstanceUID"):
        write_seg(tmp_path / "seg.dcm", truth, truth.astype(int), volume)
    volume = read_dicom(save_dicom(tmp_path / "b", values, PatientID=None))
    write_seg(tmp_path / "seg.dcm", truth, truth.astype(int), volume)


def test_inverted_and_padded(tmp_path: Path) -> None:
    values, _ = ball()
    volume = read_dicom(save_dicom(tmp_path / "a", values, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(volume.voxels, values)
    assert volume.white_is_zero, "slices of other ranges are turned round at one value"
    config = Config().replace(input={"window": "-1000,200"})
    shown = VolumeCase(volume, config, (-1000, 200)).piece(0)
    assert shown is not None
    expected = 1 - np.clip((SliceView(volume)[0] + 1000) / 1200, 0, 1)
    np.testing.assert_allclose(shown.pixels, expected, atol=1e-6)
    padded = values.copy()
    padded[:3] = 3000
    volume = read_dicom(save_dicom(tmp_path / "b", padded, PixelPaddingValue=4024))
    assert volume.voxels.max() < 100
    outside = values.copy()
    outside[:3] = -2000
    volume = read_dicom(save_dicom(tmp_path / "c", outside, intercept=-2048.0))
    assert volume.voxels.min() == -1024


def test_colours_and_frames(tmp_path: Path) -> None:
    (path,) = save_dicom(tmp_path, np.zeros((12, 10, 1), np.int16), intercept=0.0)
    random = np.random.default_rng(0)
    data = pydicom.dcmread(path)
    rgb = random.integers(0, 255, (10, 12, 3), dtype=np.uint8)
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelData = rgb.tobytes()
    data.save_as(tmp_path / "rgb.dcm")
    volume = read_dicom([tmp_path / "rgb.dcm"])
    np.testing.assert_array_equal(SliceView(volume)[0], rgb)
    frames = random.integers(0, 255, (4, 10, 12), dtype=np.uint8)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.NumberOfFrames = 4
    data.PixelData = frames.tobytes()
    data.save_as(tmp_path / "film.dcm")
    volume = read_dicom([tmp_path / "film.dcm"])
    np.testing.assert_array_equal(SliceView(volume).get_slices(volume.voxels), frames)
    assert "has no image positions" in volume.notes[0]


def test_frames_are_rescaled_by_their_own_groups(tmp_path: Path) -> None:
    values, _ = ball((20, 16, 4))
    (path,) = save_dicom(tmp_path, values[..., :1])
    data = pydicom.dcmread(path)
    order, slopes = [2, 0, 3, 1], [0.5, 2.0, 1.0, 4.0]

    def group(name: str, **elements) -> Any:
        item, groups = pydicom.Dataset(), pydicom.Dataset()
        for tag, value in elements.items():
            setattr(item, tag, value)
        setattr(groups, name, [item])
        return groups

    frames = []
    for place, slope in zip(order, slopes, strict=True):
        frame = group("PlanePositionSequence", ImagePositionPatient=[0, 0, 5.0 * place])
        scale = {"RescaleSlope": str(slope), "RescaleIntercept": "-1024"}
        frame.update(group("PixelValueTransformationSequence", **scale))
        frames.append(frame)
    stored = [(values[..., n].T + 1024) / slope for n, slope in zip(order, slopes, strict=True)]
    data.PixelData = np.stack(stored).astype(np.uint16).tobytes()
    data.NumberOfFrames, data.PerFrameFunctionalGroupsSequence = 4, frames
    data.SharedFunctionalGroupsSequence = [
        group("PlaneOrientationSequence", ImageOrientationPatient=[1, 0, 0, 0, 1, 0])
    ]
    data.save_as(path)
    np.testing.assert_allclose(read_dicom([path]).voxels, values, atol=4)


def test_floating_point_pixels(tmp_path: Path) -> None:
    values, _ = ball((20, 16, 1))
    (path,) = save_dicom(tmp_path, values)
    data = pydicom.dcmread(path)
    for name in ("PixelData", "RescaleSlope", "RescaleIntercept"):
        delattr(data, name)
    data.BitsAllocated = 32
    data.FloatPixelData = (values[..., 0].T / np.float32(3)).tobytes()
    data.save_as(path)
    np.testing.assert_allclose(read_dicom([path]).voxels, values / 3, rtol=1e-6)


def test_a_missing_decoder_is_no_broken_file(tmp_path: Path) -> None:
    from pydicom.uid import JPEGLosslessSV1

    (path,) = save_dicom(tmp_path, ball((20, 16, 1))[0])
    for syntax, words in [
        (JPEGLosslessSV1, "No decoder for .*JPEG Lossless.*is installed: pip install pylibjpeg"),
        ("1.2.840.10008.1.2.4.102", "unsupported compression MPEG-4.*: save it uncompressed"),
        ("1.2.3.4", r"unsupported compression 1\.2\.3\.4: save it"),
    ]:
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
        data.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xd9"])
        data["PixelData"].VR = "OB"
        data.save_as(tmp_path / "b.dcm")
        if syntax == JPEGLosslessSV1 and pydicom.pixels.get_decoder(syntax).is_available:
            continue
        with pytest.raises(InputError, match=words):
            read_dicom([tmp_path / "b.dcm"])


def test_odd_series(tmp_path: Path) -> None:
    values, _ = ball()
    files = save_dicom(tmp_path / "gap", values)
    files.pop(4).unlink()
    assert "unevenly spaced slices" in read_dicom(files).notes[0]
    first = save_dicom(tmp_path / "twice", values)
    second = save_dicom(tmp_path / "twice" / "again", values)
    volume = read_dicom(first + second)
    assert volume.shape == values.shape and "9 more images" in volume.notes[0]
    files = save_dicom(tmp_path / "one", values)
    files[3].write_bytes(files[3].read_bytes()[:900])
    volume = read_dicom(files)
    assert volume.shape[2] == 8 and any(n.startswith("Left out: ") for n in volume.notes)


@pytest.mark.parametrize("placed", [True, False])
def test_undefined_lengths(placed: bool, tmp_path: Path) -> None:
    values, _ = ball((12, 10, 4))
    files = save_dicom(tmp_path, values)
    for path in files:
        data = pydicom.dcmread(path)
        del data.PixelSpacing
        if not placed:
            del data.ImagePositionPatient, data.SliceThickness
        data.save_as(path)
    volume = read_dicom(files)
    lacking = "pixels;" if placed else "pixels and slices;"
    assert f"does not give the spacing of its {lacking}" in volume.notes[-1]
    assert volume.affine is not None
    lengths = np.linalg.norm(volume.affine[:3, :3], axis=0)
    np.testing.assert_allclose(lengths, [1, 1, 2.5 if placed else 1])


def test_series_are_distinguished(tmp_path: Path) -> None:
    values, _ = ball()
    files = [*save_dicom(tmp_path, values[..., :3]), *save_dicom(tmp_path / "b", values[..., :2])]
    (tmp_path / "b.dcm").write_text("no DICOM")
    assert [len(s) for s in sort_into_series([*files, tmp_path / "b.dcm"])] == [3, 2, 1]


def test_what_is_dicom(tmp_path: Path) -> None:
    (path,) = save_dicom(tmp_path, np.zeros((9, 9, 1), np.int16))
    bare = path.rename(tmp_path / "1.2.840.113619")
    assert is_dicom(bare) and is_dicom(tmp_path / "x.dcm")
    (tmp_path / "README").write_text("text")
    assert not is_dicom(tmp_path / "README") and not is_dicom(tmp_path / "a.png")


@pytest.mark.parametrize("content", [b"", b"text", b"\0" * 128 + b"DICM", b"\0" * 128 + b"DICM\2"])
def test_broken_files_get_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dcm").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_dicom([tmp_path / "a.dcm"])
    assert "a.dcm" in str(caught.value) and str(caught.value).endswith(".")


def test_an_element_that_can_not_be_read_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    (path,) = save_dicom(tmp_path / "a", ball((33, 36, 1))[0])
    content = path.read_bytes()
    assert content.count(b"\x08\x00\x60\x00CS") == 1  # Modality
    path.write_bytes(content.replace(b"\x08\x00\x60\x00CS", b"\x08\x00\x60\x00Cs"))
    assert read_dicom([path]).voxels.shape == (33, 36, 1)
