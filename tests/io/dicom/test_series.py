"""What is one volume: grouped by identity and geometry, separated by contrast, phase and time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path

import numpy as np
import pytest

from s3net_jax.io import read_dicom
from s3net_jax.io.dicom.files import sort_into_series, survey
from tests.dicom_objects import save_slice
from tests.io.dicom.scenes import (
    SCENES,
    Maker,
    copied,
    directions,
    drifting,
    interleaved,
    resent,
    slabs,
    spacings_nearly_equal,
    wobbling,
)

pydicom = pytest.importorskip("pydicom")


def _list_found(files: list[Path]) -> set[frozenset[tuple[Path, int]]]:
    volumes = [one for found in survey(files).volumes.values() for one in found]
    return {
        frozenset((p, n) for p, own in zip(v.files, v.frames or (), strict=True) for n in own)
        for v in volumes
    }


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_volumes(scene: Callable[[Maker], None], tmp_path: Path) -> None:
    make = Maker(tmp_path)
    scene(make)
    expected: dict[Hashable, set[tuple[Path, int]]] = {}
    for image, volume in make.expected.items():
        if volume is not None:
            expected.setdefault(volume, set()).add(image)
    files = sorted({path for path, _ in make.expected})
    wanted = {frozenset(images) for images in expected.values()}
    if scene is copied:  # which of two identical files is kept depends on nothing but their names
        assert sorted(map(len, _list_found(files))) == [6]
        return
    assert _list_found(files) == wanted
    random = np.random.default_rng(0)
    for _ in range(3):
        random.shuffle(files)  # type: ignore[arg-type]
        assert _list_found(files) == wanted, "the order of the files does not matter"
    # What separates volumes is in their names and notes.
    for found in survey(files).volumes.values():
        slugs = [one.slug for one in found if len(found) > 1 and len(one.files) > 1]
        assert len(set(slugs)) == len(slugs) and all(slugs)
        assert len(found) == 1 or all("separated by" in one.notes[0] for one in found)


@pytest.mark.parametrize("scene", [wobbling, drifting, slabs, interleaved, spacings_nearly_equal])
def test_gdcm_agrees_on_series(scene: Callable[[Maker], None], tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    make = Maker(tmp_path)
    scene(make)
    reader = sitk.ImageSeriesReader()
    (identifier,) = reader.GetGDCMSeriesIDs(str(tmp_path))
    names = reader.GetGDCMSeriesFileNames(str(tmp_path), identifier)
    (group,) = sort_into_series(sorted(tmp_path.iterdir()))
    assert set(map(str, group)) == set(names)
    volume = read_dicom(group)
    reader.SetFileNames(names)
    expected = sitk.GetArrayFromImage(reader.Execute()).T
    np.testing.assert_array_equal(volume.voxels, expected)


def test_labels_say_what_separates(tmp_path: Path) -> None:
    make = Maker(tmp_path)
    directions(make)
    (found,) = survey(sorted(tmp_path.iterdir())).volumes.values()
    slugs = [one.slug for one in found]
    assert slugs == ["b0", "b1000-direction1", "b1000-direction2", "b1000-direction3"]
    assert found[2].notes == (
        f"{tmp_path} contains 4 volumes, separated by b-value and direction (b-value 0; b-value "
        "1000, direction 1; b-value 1000, direction 2; b-value 1000, direction 3); this one is "
        "b-value 1000, direction 2.",
    )


def test_files_given_directly_are_never_mixed(tmp_path: Path) -> None:
    make = Maker(tmp_path)
    for n in range(6):
        for echo in (1, 2) if n % 2 else (2, 1):
            pixels = np.full((16, 16), 100 * echo, np.uint16)
            pixels[0, 0] = n
            path = tmp_path / f"{n}{echo}.dcm"
            save_slice(path, pixels, 4.0 * n, EchoNumbers=echo, InstanceNumber=2 * n + echo)
            make.expected[path, 0] = echo
    volume = read_dicom(sorted(tmp_path.iterdir()))
    assert volume.voxels.shape == (16, 16, 6) and (volume.voxels[1:] == 100).all()
    (note,) = volume.notes
    assert "6 more images" in note and "(echo 1; echo 2); only echo 1" in note
    other = read_dicom(sorted(p for (p, _), echo in make.expected.items() if echo == 2))
    assert (other.voxels[1:] == 200).all() and not other.notes


def test_the_largest_stack_of_files_given_directly(tmp_path: Path) -> None:
    make = Maker(tmp_path)
    for n in range(3):
        make.slice(0, 4.0 * n, ImageOrientationPatient=[1, 0, 0, 0, 0, -1])
    for n in range(5):
        make.slice(1, 4.0 * n)
    volume = read_dicom([path for path, _ in make.expected])
    assert volume.shape[2] == 5 and "3 more images with another orientation" in volume.notes[0]


@pytest.mark.parametrize("scene", [resent, copied])
def test_images_left_out_are_counted(scene: Callable[[Maker], None], tmp_path: Path) -> None:
    scene(Maker(tmp_path))
    ((found,),) = survey(sorted(tmp_path.iterdir())).volumes.values()
    word = "1 more images at the same" if scene is resent else "1 duplicate images"
    assert word in found.notes[0]
    volume = read_dicom(sorted(tmp_path.iterdir()))
    assert any(word in note for note in volume.notes)
