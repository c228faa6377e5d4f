"""An administrative element out of form costs itself, not the DICOM SEG."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.io import InputError, Volume, read_dicom, write_seg
from s3net_jax.io.quiet import silence_warnings
from tests.volumes import ball, save_dicom

pydicom = pytest.importorskip("pydicom")
hd = pytest.importorskip("highdicom")

VALUES, TRUTH = ball((20, 16, 3))


def save_odd_series(folder: Path, **elements: tuple[str, Any] | None) -> list[Path]:
    """A series with elements of any representation and form; None leaves one out."""
    files = save_dicom(folder, VALUES)
    with silence_warnings():
        for path in files:
            data = pydicom.dcmread(path)
            for tag, element in elements.items():
                if element is None:
                    del data[tag]
                else:
                    number = pydicom.datadict.tag_for_keyword(tag)
                    data[tag] = pydicom.DataElement(number, *element)
            data.save_as(path)
    return files


def write(folder: Path, volume: Volume) -> tuple[Any, list[str]]:
    before = [str(data) for data in volume.origin]
    notes = write_seg(folder / "s.dcm", TRUTH, TRUTH.astype(int), volume)
    after = [str(data) for data in volume.origin]
    assert after == before, "the originals stay as they are"
    with silence_warnings():
        return hd.seg.segread(folder / "s.dcm"), notes


def check_pixels(seg: Any, volume: Volume) -> None:
    uids = [str(data.SOPInstanceUID) for data in volume.origin]
    frames = seg.get_pixels_by_source_instance(uids, segment_numbers=[1])
    np.testing.assert_array_equal(frames[..., 0].transpose(2, 1, 0), TRUTH)


@pytest.mark.parametrize(
    ("tag", "kind", "value"),
    [
        ("PatientSex", "CS", "female"),
        ("PatientSex", "CS", "m"),
        ("PatientBirthDate", "DA", "unknown"),
        ("PatientBirthDate", "DA", "19700231"),
        ("PatientBirthDate", "DA", "00000000"),
        ("StudyDate", "DA", "2020-01-01"),
        ("StudyDate", "DA", "20200101-20200102"),
        ("StudyTime", "TM", "12:00"),
        ("StudyTime", "TM", "240000"),
        ("PatientAge", "AS", "forty"),
        ("PatientAge", "AS", "40"),
    ],
)
def test_an_odd_element_is_blank(tag: str, kind: str, value: str, tmp_path: Path) -> None:
    volume = read_dicom(save_odd_series(tmp_path, **{tag: (kind, value)}))
    seg, notes = write(tmp_path, volume)
    check_pixels(seg, volume)
    assert not seg.get(tag) and seg.PatientName == "Test^Ball"
    assert notes == [
        f"{volume.name} has invalid elements, which are blank in its DICOM SEG: {tag}."
    ]


@pytest.mark.parametrize(
    ("tag", "kind", "value", "kept"),
    [
        ("AccessionNumber", "SH", "9" * 64, "9" * 64),
        ("PatientID", "LO", "x" * 100, "x" * 100),
        ("PatientBirthDate", "LO", "19700101", "19700101"),
        ("PatientID", "UN", b"abc", "abc"),
        ("AccessionNumber", "IS", "12", "12"),
        ("StudyTime", "DS", "12", "12"),
        ("SpecificCharacterSet", "CS", "UTF-8", "ISO_IR 192"),
        ("SpecificCharacterSet", "CS", ["", "ISO 2022 IR 87"], "ISO_IR 192"),
        ("SpecificCharacterSet", "CS", "ISO_IR 100", "ISO_IR 100"),
    ],
)
def test_what_can_be_read_is_kept(
    tag: str, kind: str, value: Any, kept: str, tmp_path: Path
) -> None:
    volume = read_dicom(save_odd_series(tmp_path, **{tag: (kind, value)}))
    seg, notes = write(tmp_path, volume)
    check_pixels(seg, volume)
    with silence_warnings():  # elements are parsed now, and some are too long
        assert str(seg[tag].value) == kept and not notes


@pytest.mark.parametrize("value", ["1.2.03.4", "study-1"])
def test_identifiers_are_kept_as_they_are(value: str, tmp_path: Path) -> None:
    """Only equal identifiers lead a viewer from the segmentation to its images."""
    volume = read_dicom(save_odd_series(tmp_path, StudyInstanceUID=("UI", value)))
    seg, _ = write(tmp_path, volume)
    assert seg.StudyInstanceUID == value


def test_several_odd_elements_are_named_once(tmp_path: Path) -> None:
    odd = {"PatientSex": ("CS", "female"), "StudyDate": ("DA", "1.1.2020")}
    volume = read_dicom(save_odd_series(tmp_path, **odd))
    _, notes = write(tmp_path, volume)
    assert len(notes) == 1 and notes[0].endswith(": StudyDate, PatientSex.")


def test_a_private_element_of_garbage(tmp_path: Path) -> None:
    files = save_dicom(tmp_path, VALUES)
    for path in files:
        data = pydicom.dcmread(path)
        data.add_new(0x00110010, "LO", "VENDOR")
        data.add_new(0x00111001, "UN", b"\xff\x00\xfe" * 5)
        data.save_as(path)
    volume = read_dicom(files)
    seg, notes = write(tmp_path, volume)
    check_pixels(seg, volume)
    assert not notes


def test_orientations_that_wobble(tmp_path: Path) -> None:
    files = save_dicom(tmp_path, VALUES)
    for n, path in enumerate(files):
        data = pydicom.dcmread(path)
        data.ImageOrientationPatient = [0.96, 0.28, n * 1e-6, -0.28, 0.96, 0]
        data.save_as(path)
    volume = read_dicom(files)
    seg, notes = write(tmp_path, volume)
    check_pixels(seg, volume)
    assert not notes


def test_a_thickness_that_is_missing(tmp_path: Path) -> None:
    volume = read_dicom(save_odd_series(tmp_path, SliceThickness=None))
    seg, _ = write(tmp_path, volume)
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert float(measures.SliceThickness) == 2.5


@pytest.mark.parametrize("tag", ["SOPInstanceUID", "StudyInstanceUID", "PixelSpacing"])
def test_what_places_the_segments_must_be_there(tag: str, tmp_path: Path) -> None:
    volume = read_dicom(save_odd_series(tmp_path, **{tag: None}))
    with pytest.raises(InputError, match=r"^No DICOM SEG of "):
        write(tmp_path, volume)
