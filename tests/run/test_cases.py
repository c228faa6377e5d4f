"""Test inputs from public bug reports: segment them, and read the results by other libraries.

``S3NET_TEST_CASES`` names the folder of cases; each has a ``make.py`` that writes the input.
Without it these tests are skipped: ``S3NET_TEST_CASES=FOLDER pytest tests/run/test_cases.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from tests.run.commands import environment

CASES = Path(os.environ.get("S3NET_TEST_CASES", "/nowhere"))
QUICK = ["--preset", "fast", "--size", "32", "--set", "fit.steps=2"]

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="S3NET_TEST_CASES names no folder")


def make(folder: Path, case: str, *arguments: str) -> None:
    script = CASES / case / "make.py"
    subprocess.run(
        [sys.executable, str(script), *arguments], cwd=folder, check=True, env=environment()
    )


def s3net(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "s3net_jax", *arguments, *QUICK],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        errors="surrogateescape",
    )


def segment(folder: Path, *inputs: str, **variables: str) -> list[dict[str, Any]]:
    done = s3net(folder, "segment", *inputs, "--out", "out", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return read_records(folder)


def read_records(folder: Path) -> list[dict[str, Any]]:
    lines = (folder / "out/results.jsonl").read_text().splitlines()
    return list({record["stem"]: record for record in map(json.loads, lines)}.values())


def read_mask(folder: Path, stem: str) -> Any:
    nib = pytest.importorskip("nibabel")
    return nib.load(folder / f"out/{stem}.mask.nii.gz")


def frame_errors(folder: Path, stem: str) -> tuple[int, int]:
    """Return the frames of the target segment, and those that differ from the mask there."""
    pydicom = pytest.importorskip("pydicom")
    image = read_mask(folder, stem)
    mask = np.asarray(image.dataobj) > 0
    inverse = np.linalg.inv(np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine)
    seg = pydicom.dcmread(folder / f"out/{stem}.seg.dcm")
    frames = wrong = 0
    groups = seg.PerFrameFunctionalGroupsSequence
    pixel_array = seg.pixel_array.reshape(len(groups), *mask.shape[1::-1])
    for group, pixels in zip(groups, pixel_array, strict=True):
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber != 1:
            continue
        position = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        place = (inverse @ [*position, 1])[:3]
        assert np.abs(place[:2]).max() < 0.01
        frames += 1
        wrong += not np.array_equal(pixels.T > 0, mask[:, :, round(place[2])])
    return frames, wrong


def test_a_wobbling_orientation_is_one_series(tmp_path):
    make(tmp_path, "01-iop-jitter")
    (record,) = segment(tmp_path, "in/ct")
    image = read_mask(tmp_path, record["stem"])
    assert image.shape == (40, 48, 24)
    np.testing.assert_allclose(np.linalg.norm(image.affine[:3, 2]), 2, atol=1e-4)


@pytest.mark.parametrize("order", ["down", "up", "mixed"])
def test_frames_of_the_seg_are_where_the_mask_is(tmp_path, order):
    make(tmp_path, "02-multiframe-order", "in/enhanced.dcm", order)
    (record,) = segment(tmp_path, "in/enhanced.dcm")
    frames, wrong = frame_errors(tmp_path, record["stem"])
    assert frames > 0 and wrong == 0


def test_planes_behind_one_directory_are_all_segmented(tmp_path):
    make(tmp_path, "03-imagej-one-ifd")
    records = segment(tmp_path, "in")
    assert len(records) == 3
    assert [(r["width"], r["height"], r.get("depth")) for r in records] == [(72, 64, 10)] * 3


def test_colour_of_16_bits_keeps_its_shades(tmp_path):
    make(tmp_path, "05-rgb16-low-range")
    (tmp_path / "pictures").mkdir()
    for path in [*(tmp_path / "in").glob("*.png"), *(tmp_path / "in").glob("*.tif")]:
        path.rename(tmp_path / "pictures" / f"{path.stem}_{path.suffix[1:]}{path.suffix}")
    records = segment(tmp_path, "pictures")
    assert len(records) == 4
    import s3net_jax as s3

    config = s3.preset("fast").replace(input={"size": 32})
    for top in (4095, 250):
        array = s3.prepare(np.load(tmp_path / f"in/to{top}.npy"), config)
        for kind in ("png", "tif"):
            path = tmp_path / f"pictures/to{top}_{kind}.{kind}"
            np.testing.assert_array_equal(np.asarray(s3.prepare(path, config)), array)


def test_a_mount_that_refuses_chmod(tmp_path):
    make(tmp_path, "06-no-chmod")
    shim = os.pathsep.join([str(tmp_path / "in/shim"), environment()["PYTHONPATH"]])
    (record,) = segment(tmp_path, "in/a.png", PYTHONPATH=shim)
    assert "error" not in record


def test_echoes_are_never_mixed(tmp_path):
    pytest.importorskip("pydicom")
    make(tmp_path, "07-two-echoes-one-series")
    records = segment(tmp_path, "in/mr")
    assert 1 <= len(records) <= 2
    from s3net_jax.io import read_dicom
    from s3net_jax.run import discover

    for source in discover([tmp_path / "in/mr"]):
        volume = read_dicom(list(source.files))
        centre = volume.voxels[24, 24]
        assert len(centre) == 10 and np.ptp(centre) < 100


def test_a_tilted_gantry(tmp_path):
    make(tmp_path, "08-gantry-tilt")
    (record,) = segment(tmp_path, "in/head")
    image = read_mask(tmp_path, record["stem"])
    qform, q = image.header.get_qform(coded=True)
    sform, s = image.header.get_sform(coded=True)
    assert s == 1
    assert q == 0 or np.allclose(qform, sform, atol=1e-3)
    assert any("shear" in note or "tilt" in note for note in record["notes"])
    frames, wrong = frame_errors(tmp_path, record["stem"])
    assert frames > 0 and wrong == 0


def test_padding_is_compared_as_the_pixels_are_stored(tmp_path):
    make(tmp_path, "09-padding-vr")
    segment(tmp_path, "in")
    masks = [np.asarray(read_mask(tmp_path, stem).dataobj) for stem in ("us", "ss")]
    np.testing.assert_array_equal(masks[0], masks[1])


def test_a_quaternion_a_little_too_long(tmp_path):
    make(tmp_path, "10-quaternion")
    (record,) = segment(tmp_path, "in")
    assert "error" not in record and record["depth"] in (6, 40, 44)


def test_odd_administrative_elements_do_not_cost_the_seg(tmp_path):
    make(tmp_path, "12-seg-odd-patient")
    for kind in ("hash", "latin", "utf8", "sex", "ds"):
        segment(tmp_path, f"in/{kind}")
        assert (tmp_path / f"out/{kind}.seg.dcm").exists(), kind
    note = next(r for r in read_records(tmp_path) if r["stem"] == "sex")["notes"]
    assert any("PatientSex" in line for line in note)


def test_bystanders_are_passed_over(tmp_path):
    make(tmp_path, "14-dicom-bystanders")
    (record,) = segment(tmp_path, "in/study")
    assert record["depth"] == 6
    alone = s3net(tmp_path, "segment", "in/study/liver_by_somebody.dcm", "--out", "alone")
    assert alone.returncode == 1 and "Traceback" not in alone.stderr
    assert not list((tmp_path / "alone").glob("*.png")) + list((tmp_path / "alone").glob("*.nii*"))


def test_an_axis_of_length_one_is_the_slice_axis(tmp_path):
    make(tmp_path, "19-single-slice")
    records = segment(tmp_path, "in")
    assert len(records) == 4
    assert all({record["width"], record["height"]} == {50, 60} for record in records)


def test_names_that_are_not_utf8(tmp_path):
    make(tmp_path, "21-latin1-names")
    done = s3net(
        tmp_path, "evaluate", "--images", "in/images", "--masks", "in/masks", "--out", "ev"
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr
    summary = json.loads((tmp_path / "ev/summary.json").read_text())
    assert summary
    (tmp_path / "ev/report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("way", ["stdin", "script"])
def test_workers_need_nothing_of_the_calling_script(tmp_path, way):
    make(tmp_path, "26-engine-from-stdin")
    call = [
        "segment",
        "in/a.png",
        "--out",
        "out",
        *QUICK,
        "--engine",
        "processes",
        "--workers",
        "1",
    ]
    code = f"print('once')\nfrom s3net_jax.cli import main\nmain({call!r})\n"
    (tmp_path / "noguard.py").write_text(code)
    command = [sys.executable, "-" if way == "stdin" else "noguard.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        input=code if way == "stdin" else None,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr and done.stdout.count("once") == 1, done.stderr
    with PilImage.open(tmp_path / "out/a.mask.png") as picture:
        assert picture.size == (80, 64)
