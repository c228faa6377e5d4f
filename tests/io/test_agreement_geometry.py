"""Where others find our results: SimpleITK, nibabel, pydicom and highdicom, against the truth.

Every file holds an ellipsoid at a known place in the patient. It is segmented (by brightness,
instead of a fit), and each reader is asked for the mask at the points where the pixels are: all
must give the same voxel, and the ellipsoid must be where it was put.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from s3net_jax.io import read_dicom
from tests.dicoms import DIRECTIONS, Scene, make_group, save_frames, save_series
from tests.fakes import install_fit
from tests.run import small

nib = pytest.importorskip("nibabel")
pydicom = pytest.importorskip("pydicom")
hd = pytest.importorskip("highdicom")
sitk = pytest.importorskip("SimpleITK")


UP = Scene().places


ORDERS = {
    "rising": UP,
    "falling": UP[::-1],
    "interleaved": UP[::2] + UP[1::2],
    "shuffled": tuple(np.random.default_rng(3).permutation(UP)),
}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def segment(tmp_path: Path, path: Path) -> list[str]:
    """Write the results of ``path``; return the notes."""
    assert small.run(tmp_path, path).done == 1
    (line,) = small.lines(tmp_path)
    return line["notes"]


def sample_at(values: np.ndarray, affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """``values`` (X, Y, Z) at ``points`` (..., 3), which must be those of voxels."""
    index = np.linalg.solve(affine[:3, :3], (points - affine[:3, 3]).reshape(-1, 3).T).T
    nearest = np.round(index)
    # Positions in DICOM have six decimals here, matrices in NIfTI seven digits.
    np.testing.assert_allclose(index, nearest, atol=2e-3)
    return values[tuple(nearest.astype(int).T)].reshape(points.shape[:-1])


def read_with_nibabel(path: Path, points: np.ndarray) -> np.ndarray:
    image = nib.load(path)
    return sample_at(np.asarray(image.dataobj), np.diag([-1, -1, 1, 1]) @ image.affine, points)


def read_with_simpleitk(path: Path, points: np.ndarray) -> np.ndarray:
    image = sitk.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return sample_at(sitk.GetArrayFromImage(image).T, affine, points)


def read_with_pydicom(path: Path, scene: Scene) -> np.ndarray:
    """Segment 1 of a SEG on the frames of ``scene``, found by position alone."""
    data = pydicom.dcmread(path)
    shared = data.SharedFunctionalGroupsSequence[0]
    direction = shared.PlaneOrientationSequence[0].ImageOrientationPatient
    np.testing.assert_allclose(np.reshape(direction, (2, 3)), scene.axes, atol=1e-6)
    measures = shared.PixelMeasuresSequence[0]
    np.testing.assert_allclose(measures.PixelSpacing, scene.spacing, rtol=1e-9)
    result = np.zeros(scene.truth.shape, bool)
    for frame, pixels in zip(data.PerFrameFunctionalGroupsSequence, data.pixel_array, strict=True):
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1:
            position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
            distance = np.linalg.norm(scene.positions - position, axis=1)
            found = np.flatnonzero(distance < 1e-5)
            assert found.size, "every frame of the SEG lies where a source frame does"
            result[found] = pixels > 0
    return result


def check_references(path: Path, files: list[Path]) -> None:
    """Every frame of a SEG refers to a file and frame at its own position."""
    sources = {str(data.SOPInstanceUID): data for data in map(pydicom.dcmread, files)}
    data = pydicom.dcmread(path)
    listed = data.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {str(item.ReferencedSOPInstanceUID) for item in listed} <= set(sources)
    used = set()
    for frame in data.PerFrameFunctionalGroupsSequence:
        own = frame.PlanePositionSequence[0].ImagePositionPatient
        item = frame.DerivationImageSequence[0].SourceImageSequence[0]
        source = sources[str(item.ReferencedSOPInstanceUID)]
        assert item.ReferencedSOPClassUID == source.SOPClassUID
        used.add(str(item.ReferencedSOPInstanceUID))
        if "PerFrameFunctionalGroupsSequence" in source:
            place = source.PerFrameFunctionalGroupsSequence[int(item.ReferencedFrameNumber) - 1]
            there = place.PlanePositionSequence[0].ImagePositionPatient
        elif "ImagePositionPatient" in source and "NumberOfFrames" not in source:
            assert "ReferencedFrameNumber" not in item
            there = source.ImagePositionPatient
        else:
            continue
        np.testing.assert_allclose(own, there, atol=1e-6)
    assert used <= {str(item.ReferencedSOPInstanceUID) for item in listed}


def check(out: Path, stem: str, scene: Scene, files: list[Path]) -> None:
    """All readers find the mask at the same points, and the ellipsoid in its place."""
    masks = [
        read_with_nibabel(out / f"{stem}.mask.nii.gz", scene.points) > 0,
        read_with_simpleitk(out / f"{stem}.mask.nii.gz", scene.points) > 0,
        read_with_pydicom(out / f"{stem}.seg.dcm", scene),
    ]
    for mask in masks[1:]:
        np.testing.assert_array_equal(mask, masks[0])
    dice = 2 * (masks[0] & scene.truth).sum() / (masks[0].sum() + scene.truth.sum())
    assert dice > 0.9, "the ellipsoid is off the middle: turned round it would be elsewhere"
    check_references(out / f"{stem}.seg.dcm", files)


@pytest.mark.slow
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["axial", "oblique"])
def test_enhanced_files_in_every_order(tmp_path: Path, order: str, direction: str) -> None:
    scene = Scene(direction, ORDERS[order])
    data = save_frames(tmp_path / "a.dcm", scene)
    assert not segment(tmp_path, tmp_path / "a.dcm")
    check(tmp_path / "out", "a", scene, [tmp_path / "a.dcm"])
    seg = hd.seg.segread(tmp_path / "out/a.seg.dcm")
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    np.testing.assert_allclose(float(measures.SpacingBetweenSlices), 2.5, rtol=1e-6)
    numbers = list(range(1, len(scene.places) + 1))
    frames = seg.get_pixels_by_source_frame(
        data.SOPInstanceUID,
        numbers,
        segment_numbers=[1],
        ignore_spatial_locations=True,
        assert_missing_frames_are_empty=True,
    )
    np.testing.assert_array_equal(
        frames[..., 0] > 0, read_with_pydicom(tmp_path / "out/a.seg.dcm", scene)
    )


@pytest.mark.slow
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", ["enhanced mr", "legacy ct", "capture", "enhanced pet"])
def test_multi_frame_kinds(tmp_path: Path, kind: str, direction: str) -> None:
    scene = Scene(direction, ORDERS["falling"])
    modality = {"enhanced mr": "MR", "enhanced pet": "PT"}.get(kind, "CT")
    save_frames(tmp_path / "a.dcm", scene, kind, modality, per_frame=kind != "legacy ct")
    assert not segment(tmp_path, tmp_path / "a.dcm")
    check(tmp_path / "out", "a", scene, [tmp_path / "a.dcm"])


@pytest.mark.slow
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("order", ["rising", "falling"])
def test_series(tmp_path: Path, direction: str, order: str) -> None:
    scene = Scene(direction, ORDERS[order])
    files = save_series(tmp_path / "a", scene)
    assert not segment(tmp_path, tmp_path / "a")
    check(tmp_path / "out", "a", scene, files)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path / "a")))
    before, after = reader.Execute(), sitk.ReadImage(str(tmp_path / "out/a.mask.nii.gz"))
    for corner in itertools.product(*((0, side - 1) for side in before.GetSize())):
        index = after.TransformPhysicalPointToContinuousIndex(
            before.TransformIndexToPhysicalPoint(corner)
        )
        np.testing.assert_allclose(index, corner, atol=1e-3)
    seg = hd.seg.segread(tmp_path / "out/a.seg.dcm")
    volume = seg.get_volume(segment_numbers=[1], combine_segments=False)
    points = scene.points.reshape(-1, 3)
    index = np.round(volume.map_reference_to_indices(points)).astype(int)
    # highdicom's volume ends with the last slice that has a segment.
    inside = ((index >= 0) & (index < volume.spatial_shape)).all(1)
    found = np.zeros(len(points), bool)
    found[inside] = volume.array[tuple(index[inside].T)][:, 0] > 0
    np.testing.assert_array_equal(
        found.reshape(scene.truth.shape), read_with_pydicom(tmp_path / "out/a.seg.dcm", scene)
    )


@pytest.mark.slow
def test_several_multi_frame_files_in_one_series(tmp_path: Path) -> None:
    same = {
        n: pydicom.uid.generate_uid()
        for n in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
    }
    whole = Scene()
    parts = [Scene(places=UP[4:][::-1]), Scene(places=UP[:4])]
    for n, part in enumerate(parts):
        truth = whole.stored[4:][::-1] if n == 0 else whole.stored[:4]
        save_frames(tmp_path / f"a/{n}.dcm", part, PixelData=truth.tobytes(), **same)
    segment(tmp_path, tmp_path / "a")
    check(tmp_path / "out", "a", whole, sorted((tmp_path / "a").iterdir()))


@pytest.mark.slow
def test_frames_at_places_that_others_have(tmp_path: Path) -> None:
    """They are another volume, of its own result."""
    scene = Scene(places=UP[::-1] + UP[2:4])
    save_frames(tmp_path / "a.dcm", scene)
    assert small.run(tmp_path, tmp_path / "a.dcm").done == 2
    whole, part = sorted(small.lines(tmp_path), key=lambda line: -line["depth"])
    assert (whole["depth"], part["depth"]) == (len(UP), 2)
    assert all(line["notes"] for line in (whole, part))
    for line, places in ((whole, UP[::-1]), (part, UP[2:4])):
        path = tmp_path / f"out/{line['stem']}.seg.dcm"
        check_references(path, [tmp_path / "a.dcm"])
        points = Scene(places=places).points
        mask = read_with_nibabel(tmp_path / f"out/{line['stem']}.mask.nii.gz", points) > 0
        np.testing.assert_array_equal(read_with_pydicom(path, Scene(places=places)), mask)


@pytest.mark.parametrize("left", [(0, 1, 2, 4, 5, 6, 7), (0, 2, 3, 4, 5, 6, 7)])
def test_uneven_slices(tmp_path: Path, left: tuple[int, ...]) -> None:
    """The matrix can hold one distance only; the SEG has every slice where it is."""
    scene = Scene(places=tuple(UP[n] for n in left)[::-1])
    save_frames(tmp_path / "a.dcm", scene)
    (note,) = segment(tmp_path, tmp_path / "a.dcm")
    assert "unevenly spaced slices" in note and " mm. The DICOM SEG" in note
    path = tmp_path / "out/a.seg.dcm"
    check_references(path, [tmp_path / "a.dcm"])
    mask = np.asarray(nib.load(tmp_path / "out/a.mask.nii.gz").dataobj).T > 0
    np.testing.assert_array_equal(read_with_pydicom(path, scene), mask[::-1])
    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0]
    assert "SpacingBetweenSlices" not in shared.PixelMeasuresSequence[0]


@pytest.mark.parametrize("degrees", [15.0, -8.0, 1.0])
def test_a_tilted_gantry(tmp_path: Path, degrees: float) -> None:
    scene = Scene(shear=(0.0, float(np.tan(np.deg2rad(degrees))), 0.0))
    files = save_series(tmp_path / "a", scene)
    (note,) = segment(tmp_path, tmp_path / "a")
    assert "sheared" in note and f"{abs(degrees):.1f} degrees" in note
    path = tmp_path / "out/a.mask.nii.gz"
    header = nib.load(path).header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (0, 1)
    mask = read_with_nibabel(path, scene.points) > 0
    np.testing.assert_array_equal(read_with_pydicom(tmp_path / "out/a.seg.dcm", scene), mask)
    check_references(tmp_path / "out/a.seg.dcm", files)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(path))


@pytest.mark.slow
def test_directions_that_are_rounded(tmp_path: Path) -> None:
    """Six digits are no shear: qform and sform both place the voxels."""
    direction = [0.935123, 0.317604, 0.157123, -0.301211, 0.945921, -0.119361]
    scene = Scene(
        np.round(_make_orthogonal(direction), 6).ravel().tolist(), tuple(np.arange(40) * 1.0)
    )
    save_series(tmp_path / "a", scene)
    assert not segment(tmp_path, tmp_path / "a")
    header = nib.load(tmp_path / "out/a.mask.nii.gz").header
    assert (int(header["qform_code"]), int(header["sform_code"])) == (1, 1)
    np.testing.assert_allclose(header.get_qform(), header.get_sform(), atol=1e-4)


def _make_orthogonal(direction: list[float]) -> np.ndarray:
    left, _, right = np.linalg.svd(np.reshape(direction, (2, 3)), full_matrices=False)
    return left @ right


@pytest.mark.slow
@pytest.mark.parametrize("sign", [1, -1])
def test_nuclear_medicine(tmp_path: Path, sign: int) -> None:
    scene = Scene(places=tuple(sign * place for place in UP))
    detector = make_group(
        ImagePositionPatient=list(scene.positions[0]), ImageOrientationPatient=DIRECTIONS["axial"]
    )
    save_frames(
        tmp_path / "a.dcm",
        scene,
        "nm",
        "NM",
        grouped=False,
        PixelSpacing=list(scene.spacing),
        SliceThickness=2.5,
        SpacingBetweenSlices=2.5 * sign,
        NumberOfSlices=len(UP),
        SliceVector=list(range(1, len(UP) + 1)),
        DetectorInformationSequence=detector,
    )
    assert not segment(tmp_path, tmp_path / "a.dcm")
    check(tmp_path / "out", "a", scene, [tmp_path / "a.dcm"])
    image = sitk.ReadImage(str(tmp_path / "a.dcm"))
    for n in (0, 5):
        there = image.TransformIndexToPhysicalPoint((0, 0, n))
        np.testing.assert_allclose(there, scene.positions[n], atol=1e-6)


@pytest.mark.parametrize("kind", ["ultrasound", "angiography", "capture"])
def test_frames_without_a_place(tmp_path: Path, kind: str) -> None:
    """What is guessed is noted, and no SEG claims places that nobody knows."""
    save_frames(
        tmp_path / "a.dcm", Scene(), kind, "OT", grouped=False, ImagerPixelSpacing=[0.8, 0.7]
    )
    notes = " ".join(segment(tmp_path, tmp_path / "a.dcm"))
    assert "has no image positions" in notes and "No DICOM SEG" in notes
    assert not (tmp_path / "out/a.seg.dcm").exists()
    assert read_dicom([tmp_path / "a.dcm"]).shape == (40, 36, 8)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("PlaneOrientationSequence", "its files lack image orientations"),
        ("PixelMeasuresSequence", "its files lack pixel spacing"),
    ],
)
def test_geometry_that_is_not_whole(tmp_path: Path, missing: str, words: str) -> None:
    data = save_frames(tmp_path / "a.dcm", Scene())
    delattr(data.SharedFunctionalGroupsSequence[0], missing)
    data.save_as(tmp_path / "a.dcm")
    notes = segment(tmp_path, tmp_path / "a.dcm")
    assert len(notes) == 2 and words in notes[1], notes
    assert not (tmp_path / "out/a.seg.dcm").exists()


def test_a_missing_frame_of_reference(tmp_path: Path) -> None:
    """Anonymisers remove it; the positions still agree, and a note says how to match."""
    scene = Scene("oblique")
    files = save_series(tmp_path / "a", scene)
    for path in files:
        data = pydicom.dcmread(path)
        del data.FrameOfReferenceUID
        data.save_as(path)
    (note,) = segment(tmp_path, tmp_path / "a")
    assert "has a new one" in note
    check(tmp_path / "out", "a", scene, files)


def test_a_single_picture_gets_its_segmentation(tmp_path: Path) -> None:
    (path,) = save_series(tmp_path, Scene(places=(0.0,)))
    data = pydicom.dcmread(path)
    del data.ImagePositionPatient, data.ImageOrientationPatient
    data.save_as(path)
    assert not segment(tmp_path, path)
    seg = pydicom.dcmread(tmp_path / "out/IM001.seg.dcm")
    item = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    assert item.ReferencedSOPInstanceUID == data.SOPInstanceUID
    (path,) = save_series(tmp_path / "b", Scene(places=(0.0,)))
    segment(tmp_path / "b", path)
    seg = pydicom.dcmread(tmp_path / "b/out/IM001.seg.dcm")
    measures = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    assert "SpacingBetweenSlices" not in measures and float(measures.SliceThickness) == 2.5
