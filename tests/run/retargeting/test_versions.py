"""Earlier versions of results: undo, kills at any moment, and what runs make of corrections."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.cli import main
from s3net_jax.evaluate import check_folder
from s3net_jax.run.output import versions
from tests.ending import ending_command
from tests.fakes import install_fit, resample_less
from tests.pictures import save_lesion
from tests.processes import HANG
from tests.run.commands import environment
from tests.run.retargeting.folders import (
    SMALL,
    area,
    read_files,
    records,
    retarget,
    segment,
)
from tests.volumes import OBLIQUE, ball, save_dicom, save_nifti


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    monkeypatch.chdir(tmp_path)


def segment_locally() -> None:
    """Segment with outlines of their own, so that there are clusters without the target."""
    segment(more=("--set", "segment.boundary=local"))


@pytest.mark.slow
def test_undo_restores_every_byte(capsys) -> None:
    segment_locally()
    states = [read_files()]
    for target in ("label:2+1", "label:-1", "dark"):
        assert retarget("--target", target, "--only", "a", "b") == 0
        states.append(read_files())
    assert records()["a"]["version"] == 4
    assert retarget("--undo", "a.png") == 0
    undone = read_files()
    for name, content in states[-2].items():
        if name.startswith("out/a."):
            assert undone[name] == content
        elif name.startswith("out/b."):
            assert undone[name] == states[-1][name]
    assert records()["a"]["version"] == 3 and records()["b"]["version"] == 4
    for expected in (2, 1):
        assert retarget("--undo", "a") == 0
        assert records()["a"].get("version", 1) == expected
    for _ in range(3):
        assert retarget("--undo", "--only", "b") == 0
    assert read_files() == states[0] and not Path("out/versions").exists()
    capsys.readouterr()
    assert retarget("--undo", "b") == 1
    assert "b has no earlier version: its target was not changed." in capsys.readouterr().err
    assert retarget("--undo") == 0
    assert "out: nothing to do." in capsys.readouterr().out
    assert check_folder("out").files == {}


@pytest.mark.slow
def test_versions_are_small_and_copied_where_links_are_not_supported(monkeypatch) -> None:
    segment_locally()
    before = read_files()

    def refuse(*_: object, **__: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", refuse)
    assert retarget("--target", "label:-1") == 0
    kept = {path.name for path in Path("out/versions/a/1").iterdir()}
    assert kept == {"a.labels.png", "a.mask.png", "a.overlay.png", "record.json"}
    assert retarget("--undo") == 0
    assert read_files() == before


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(4, 40, 3))
def test_a_kill_leaves_the_old_or_the_new_result(moment: int, monkeypatch) -> None:
    """Fail at the given file operation, as a kill would, and resume with another command."""
    segment_locally()
    before = read_files()
    count = 0

    class Killed(BaseException):
        pass

    def count_down(original):
        def wrapped(*args, **more):
            nonlocal count
            count += 1
            if count == moment:
                raise Killed
            return original(*args, **more)

        return wrapped

    with monkeypatch.context() as patch:
        for name in ("replace", "link", "unlink", "fsync", "write"):
            patch.setattr(os, name, count_down(getattr(os, name)))
        # A killed process cleans nothing up.
        patch.setattr(versions.Versions, "_delete", lambda *_: None)
        with contextlib.suppress(Killed):
            retarget("--target", "label:2+1", "--only", "a")
    assert main(["segment", "in", "--out", "out", *SMALL, "--set", "segment.boundary=local"]) == 0
    after = read_files()
    assert check_folder("out").files == {}
    if records()["a"].get("version") == 2:
        assert retarget("--undo") == 0
        after = read_files()
    assert after == before


@pytest.mark.slow
def test_a_killed_process_is_repaired(tmp_path: Path) -> None:
    segment()
    before = read_files()
    shutil.copytree("out", "whole")
    for moment in (5, 25, 45):
        shutil.rmtree("out")
        shutil.copytree("whole", "out")
        words = ["retarget", "out", "--target", "label:0", "--quiet"]
        command = ending_command(signal.SIGKILL, *words, operations=moment)
        process = subprocess.run(
            command, cwd=tmp_path, env=environment(), capture_output=True, timeout=HANG, check=False
        )
        assert process.returncode in (-signal.SIGKILL, 0), process.stderr
        assert retarget("--undo") == 0
        assert read_files() == before
        assert check_folder("out").files == {}


@pytest.mark.slow
def test_a_repeated_run_keeps_corrections_and_overwrite_replaces_them() -> None:
    segment()
    assert retarget("--target", "label:0") == 0
    corrected = read_files()
    segment("in")
    assert read_files() == corrected
    segment("in", more=("--overwrite",))
    assert all("version" not in record for record in records().values())
    assert not Path("out/versions").exists()


@pytest.mark.slow
def test_a_damaged_version_is_not_restored(capsys) -> None:
    segment()
    assert retarget("--target", "label:0", "--only", "a") == 0
    corrected = {n: c for n, c in read_files().items() if "versions" not in n}
    Path("out/versions/a/1/a.mask.png").write_bytes(b"other")
    assert retarget("--undo", "a") == 1
    assert "can't be restored" in capsys.readouterr().err
    Path("out/versions/a/1/record.json").write_text("{}")
    assert retarget("--undo", "a") == 1
    assert "record.json is damaged" in capsys.readouterr().err
    assert {n: c for n, c in read_files().items() if "versions" not in n} == corrected


def test_a_folder_of_versions_that_leads_out_is_refused(tmp_path: Path, capsys) -> None:
    segment()
    (tmp_path / "elsewhere").mkdir()
    Path("out/versions").symlink_to(tmp_path / "elsewhere")
    assert retarget("--target", "label:0") == 2
    assert "is a link that leads out of" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").rglob("*.png")) == []


@pytest.mark.slow
def test_evaluation_scores_corrected_masks(monkeypatch, capsys) -> None:
    resample_less(monkeypatch)
    truth = save_lesion(Path("images/a.png"), shape=(60, 70))
    Path("masks").mkdir()
    PilImage.fromarray(np.uint8(255 * truth)).save("masks/a.png")
    words = ["evaluate", "--images", "images", "--masks", "masks", "--out", "scores", *SMALL[:-1]]
    assert main([*words, "--json"]) == 0
    first = Path("scores/metrics.csv").read_text()
    assert main(["retarget", "scores/predictions", "--target", "label:0"]) == 0
    assert main([*words, "--json"]) == 0
    assert Path("scores/metrics.csv").read_text() != first
    assert main(["retarget", "scores/predictions", "--undo"]) == 0
    assert main([*words, "--json"]) == 0
    scored = [line.rsplit(",", 1)[0] for line in Path("scores/metrics.csv").read_text().split()]
    assert scored == [line.rsplit(",", 1)[0] for line in first.split()]


@pytest.mark.slow
def test_a_nifti_volume_keeps_its_geometry() -> None:
    nib = pytest.importorskip("nibabel")
    values, _ = ball((36, 40, 12))
    save_nifti(Path("scan.nii.gz"), values)
    segment("scan.nii.gz", more=("--target", "dark"))
    expected = read_files()
    before = nib.load("out/scan.mask.nii.gz")
    mask = np.asarray(before.dataobj)
    assert retarget("--target", "bright") == 0
    after = nib.load("out/scan.mask.nii.gz")
    assert after.header == before.header
    np.testing.assert_allclose(after.affine, OBLIQUE, atol=1e-5)
    assert not np.array_equal(np.asarray(after.dataobj), mask)
    assert retarget("--target", "dark") == 0
    found = read_files()
    assert all(found[name] == content for name, content in expected.items())
    assert retarget("--target", "label:0") == 0
    assert records()["scan"]["target"] == [0]


@pytest.mark.slow
def test_a_dicom_series_gets_a_new_seg() -> None:
    pytest.importorskip("highdicom")
    pydicom = pytest.importorskip("pydicom")
    save_dicom(Path("chest"), ball((24, 28, 5))[0])
    segment("chest", more=("--target", "dark"))
    first = pydicom.dcmread("out/chest.seg.dcm")
    assert retarget("--target", "label:0") == 0
    record = records()["chest"]
    assert record["outputs"]["seg"] == "chest.seg.dcm"
    second = pydicom.dcmread("out/chest.seg.dcm")
    assert second.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert second.pixel_array.sum() != first.pixel_array.sum()
    assert check_folder("out").files == {}


def test_a_picture_keeps_the_size_of_its_pixels() -> None:
    save_lesion(Path("x.png"))
    PilImage.open("x.png").save("a.png", dpi=(300, 300))
    segment("a.png")
    assert retarget("--target", "label:0") == 0
    with PilImage.open("out/a.mask.png") as mask:
        assert mask.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert area("a") > 0
