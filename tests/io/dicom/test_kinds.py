"""Images are distinguished from accompanying objects by class and modality, not by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.io import InputError, read_dicom
from s3net_jax.io.dicom.files import survey
from s3net_jax.run import discover
from tests.dicom_objects import CT, new_object, save_object, save_slice

pydicom = pytest.importorskip("pydicom")

STORAGE = "1.2.840.10008.5.1.4.1.1."
OBJECTS = {
    "88.67": ("SR", "structured report"),
    "88.11": ("SR", "structured report"),
    "88.59": ("KO", "key object selection"),
    "11.1": ("PR", "presentation state"),
    "481.2": ("RTDOSE", "RT dose"),
    "481.3": ("RTSTRUCT", "RT structure set"),
    "481.5": ("RTPLAN", "RT plan"),
    "481.8": ("RTPLAN", "RT plan"),
    "481.4": ("RTRECORD", "radiotherapy record"),
    "66": ("OT", "raw data object"),
    "66.1": ("REG", "registration"),
    "66.4": ("SEG", "segmentation"),
    "66.5": ("SEG", "surface segmentation"),
    "67": ("RWV", "real world value mapping"),
    "9.1.1": ("ECG", "waveform"),
    "104.1": ("DOC", "encapsulated document"),
    "4.2": ("MR", "MR spectroscopy"),
    "91.1": ("ANN", "set of annotations"),
}


def _add_pixels(data: Any) -> Any:
    data.Rows = data.Columns = 16
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = np.arange(256, dtype=np.uint8).tobytes()
    return data


@pytest.mark.parametrize("with_pixels", [True, False])
@pytest.mark.parametrize(("kind", "modality", "what"), [(k, *v) for k, v in OBJECTS.items()])
def test_objects_that_are_not_images(
    kind: str, modality: str, what: str, with_pixels: bool, tmp_path: Path
) -> None:
    data = new_object(STORAGE + kind, Modality=modality)
    path = save_object(tmp_path / "scan.dcm", _add_pixels(data) if with_pixels else data)
    assert survey([path]).bystanders == {path: what}
    with pytest.raises(InputError) as caught:
        read_dicom([path])
    assert str(caught.value) == (
        f"{path} is a DICOM {what}, not an image: give the images that it belongs to."
    )


@pytest.mark.parametrize("kind", ["1.1", "7", "481.1", "481.23", "30", "128", "20", "12.1", "6.1"])
@pytest.mark.parametrize("modality", ["OT", "SR", None])
def test_classes_that_are_images(kind: str, modality: str | None, tmp_path: Path) -> None:
    """A screenshot of a report is an image, and so is a parametric map."""
    data = _add_pixels(new_object(STORAGE + kind, Modality=modality, InstanceNumber=1))
    path = save_object(tmp_path / "a.dcm", data)
    assert not survey([path]).bystanders
    assert read_dicom([path]).voxels.shape == (16, 16, 1)


@pytest.mark.parametrize("kind", [None, "1.3.12.2.1107.5.9.1"])
def test_without_a_known_class_the_modality_decides(kind: str | None, tmp_path: Path) -> None:
    data = _add_pixels(new_object(Modality="SEG"))
    del data.SOPClassUID, data.file_meta.MediaStorageSOPClassUID
    if kind:
        data.SOPClassUID = kind
    path = tmp_path / "a.dcm"
    data.save_as(path, implicit_vr=False, little_endian=True)
    assert survey([path]).bystanders == {path: "segmentation"}


def test_private_objects_without_pixels(tmp_path: Path) -> None:
    data = new_object("1.3.12.2.1107.5.9.1")  # Siemens' CSA Non-Image Storage
    path = save_object(tmp_path / "a.dcm", data)
    assert survey([path]).bystanders == {path: "object without an image"}


def _save_study(folder: Path) -> None:
    for n in range(3):
        save_slice(folder / f"IM{n}", z=2.0 * n, sop_class=CT, InstanceNumber=n)
    for kind in ("88.67", "11.1", "481.2", "66.4"):
        data = _add_pixels(new_object(STORAGE + kind, SeriesInstanceUID=f"1.2.{kind}"))
        save_object(folder / f"{kind.replace('.', '-')}.dcm", data)
    directory = pydicom.Dataset()
    directory.file_meta = pydicom.dataset.FileMetaDataset()
    directory.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    directory.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.1.3.10"
    directory.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    directory.DirectoryRecordSequence = []
    save_object(folder / "DICOMDIR", directory)


def test_a_folder_as_archives_hand_it_out(tmp_path: Path) -> None:
    _save_study(tmp_path / "study")
    said: list[str] = []
    (source,) = discover([tmp_path / "study"], said.append)
    assert len(source.files) == 3 and source.problem is None
    assert said == [
        "Skipped 5 DICOM objects that are not images: 11-1.dcm (presentation state), 66-4.dcm "
        "(segmentation), 88-67.dcm (structured report), 481-2.dcm (RT dose), DICOMDIR (directory)."
    ]
    said.clear()
    (source,) = discover([tmp_path / "study" / "*"], said.append)
    assert len(source.files) == 3 and len(said) == 1


def test_named_itself_each_is_an_input_that_fails(tmp_path: Path) -> None:
    _save_study(tmp_path)
    said: list[str] = []
    found = discover([tmp_path, tmp_path / "88-67.dcm", tmp_path / "DICOMDIR"], said.append)
    assert [source.path.name for source in found] == ["88-67.dcm", "DICOMDIR", tmp_path.name]
    assert "3 DICOM objects" in said[0]
    with pytest.raises(InputError, match="is a DICOM structured report, not an image"):
        read_dicom(list(found[0].files))


def test_a_folder_of_nothing_else_holds_no_image(tmp_path: Path) -> None:
    save_object(tmp_path / "a.dcm", new_object(STORAGE + "88.67", Modality="SR"))
    save_object(tmp_path / "b.dcm", new_object(STORAGE + "11.1", Modality="PR"))
    said: list[str] = []
    (source,) = discover([tmp_path], said.append)
    assert source.problem == (
        f"{tmp_path} holds no image. Skipped 2 DICOM objects that are not images: a.dcm "
        "(structured report), b.dcm (presentation state)."
    )
    assert not said


def test_suffixes_do_not_decide(tmp_path: Path) -> None:
    files = [
        save_slice(tmp_path / name, z=2.0 * n, InstanceNumber=n)
        for n, name in enumerate(["a.img", "b.dcm", "c", "d.0004", "e.v2"])
    ]
    (tmp_path / "notes.txt").write_text("x" * 300)
    (tmp_path / "README").write_text("\x08\x00 text that begins oddly" * 20)
    found = discover([tmp_path])
    assert [sorted(source.files) for source in found] == [files]


def test_volumes_of_one_series_have_names_and_notes(tmp_path: Path) -> None:
    for n in range(4):
        for echo in (2, 1):
            save_slice(
                tmp_path / "mr" / f"{n}-{echo}.dcm",
                z=2.0 * n,
                EchoNumbers=echo,
                InstanceNumber=2 * n + echo,
            )
    found = discover([tmp_path / "mr"])
    assert [source.stem for source in found] == ["mr-echo1", "mr-echo2"]
    assert all(source.path == tmp_path / "mr" and len(source.files) == 4 for source in found)
    assert found[1].notes == (
        f"{tmp_path / 'mr'} contains 2 volumes, separated by echo (echo 1; echo 2); this one is "
        "echo 2.",
    )
