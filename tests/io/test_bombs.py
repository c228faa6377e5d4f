"""Files that claim or unpack to far more than they hold: refused, or opened in little memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.config import Config, ConfigError
from s3net_jax.io import InputError, get_limits, limits, parse_size, read, read_nifti
from s3net_jax.io.codestream import find_pictures
from s3net_jax.io.limits import Limits, compute_allowed_bytes, measure_stored_bytes
from s3net_jax.run.cases import open_case
from s3net_jax.run.inputs import discover
from tests.io.bombs import BOMBS, CAP, make_many_pages
from tests.io.dicom_bombs import make_jpeg2000
from tests.io.fuzz_formats import forget_peak, measure_peak_mib
from tests.processes import HANG
from tests.run.commands import ROOT, environment
from tests.volumes import save_dicom, save_nifti

OPENED = {
    "beyond.nii.gz", "frames.gif", "members.nii.gz", "nested-defined.dcm", "strip-deflate-8.tif",
    "strip-deflate.tif", "strip-lzma.tif", "subifds.tif", "tags.tif", "volumes.nii.gz",
    "zeros-8.tif", "zeros-rgba.png", "zeros.jpg",
}  # fmt: skip
"""Bombs whose image is sound are read, and the data after the image are ignored."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each bomb, in a process of its own."""
    for package in ("nibabel", "pydicom", "openjpeg", "jpeg_ls"):
        pytest.importorskip(package)
    folder, scraps = tmp_path_factory.mktemp("bombs"), tmp_path_factory.mktemp("scraps")

    def make(number: int, name: str) -> None:
        (folder / name).write_bytes(BOMBS[name](scraps / str(number)))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, range(len(BOMBS)), BOMBS))
    done = subprocess.run(
        [sys.executable, "-m", "tests.io.bombs", str(folder)],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=HANG,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return {r["name"]: r for r in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.slow
def test_bombs_do_no_harm(report: dict[str, dict[str, Any]], name: str) -> None:
    found = report[name]
    assert found["result"] == ("opened" if name in OPENED else "refused"), found
    assert found["peak_mib"] < CAP, found
    # Limits count work, not time; this is far above the processor time that any takes.
    assert found["seconds"] < 60, found


@pytest.mark.slow
def test_memory_is_measured_file_by_file(report: dict[str, dict[str, Any]]) -> None:
    before = measure_peak_mib()
    block = np.ones(100 << 20, np.uint8)
    assert measure_peak_mib() > before - 1
    del block
    forget_peak()
    assert report["pages.tif"]["peak_mib"] < 300 < report["zeros-rgba.png"]["peak_mib"]


def open_file(path: Path) -> Any:
    (source,) = discover([path])
    return open_case(source, Config())


def test_limits_can_be_changed(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    PilImage.fromarray(noise).save(tmp_path / "a.png")
    with (
        pytest.raises(InputError, match=r"50×40 pixels.*1,999.*--max-pixels"),
        limits(max_pixels=1999),
    ):
        read(tmp_path / "a.png")
    with pytest.raises(InputError, match="--max-bytes"), limits(max_bytes=7999):
        read(tmp_path / "a.png")
    with limits(max_pixels=2000, max_bytes=8000):
        assert read(tmp_path / "a.png").shape == (40, 50)
    assert get_limits() == Limits()
    (tmp_path / "p.tif").write_bytes(make_many_pages(12))
    with pytest.raises(InputError, match=r"more than 11 pages.*--max-pages"), limits(max_pages=11):
        open_file(tmp_path / "p.tif")
    assert len(open_file(tmp_path / "p.tif")) == 12


def test_one_limit_holds_for_all_formats(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    pytest.importorskip("pydicom")
    values = np.random.default_rng(0).integers(-900, 900, (30, 40, 4)).astype(np.int16)
    save_nifti(tmp_path / "a.nii", values)
    save_nifti(tmp_path / "b.nii.gz", values)
    PilImage.fromarray(values[..., 0].astype(np.int32)).save(tmp_path / "c.tif")
    (path,) = save_dicom(tmp_path / "d", values[..., :1])
    for file, pixels, most in (
        (tmp_path / "a.nii", 30 * 40 * 4 / 5, 30 * 40 * 4 * 6),
        (tmp_path / "b.nii.gz", 30 * 40 * 4 / 5, 30 * 40 * 4 * 6),
        (tmp_path / "c.tif", 1200, 1200 * 16),
        (path, 1200, 1200 * 14),
    ):
        with limits(max_pixels=int(pixels), max_bytes=most):
            assert len(open_file(file)) > 0
        with pytest.raises(InputError, match="--max-pixels"), limits(max_pixels=int(pixels) - 1):
            open_file(file)
        with pytest.raises(InputError, match="--max-bytes"), limits(max_bytes=most - 1):
            open_file(file)


def test_sizes_as_typed() -> None:
    assert parse_size("400000000", "--max-pixels") == 400_000_000
    assert parse_size("2.5G", "--max-bytes") == 2_500_000_000
    assert parse_size("64k", "--max-bytes") == 64_000
    for text in ("", "0", "-1", "1.5", "1e9", "many", "4T", "٤"):
        with pytest.raises(ConfigError, match="--max-bytes"):
            parse_size(text, "--max-bytes")
    for value in (0, True, 1.5):
        with pytest.raises(ConfigError, match="max_pixels"), limits(max_pixels=value):  # pyright: ignore
            pass
    assert get_limits() == Limits()


def test_large_files_may_take_more(tmp_path: Path) -> None:
    assert compute_allowed_bytes(1) == 256 << 20 and compute_allowed_bytes(10**8) == 10**10
    with limits(max_bytes=1000):
        assert compute_allowed_bytes(10**8) == 1000
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"x" * 4096)
        file.truncate(1 << 30)
    assert measure_stored_bytes(path) < 1 << 20 or path.stat().st_blocks * 512 > 1 << 29


def test_a_wrong_check_sum_is_noticed(tmp_path: Path) -> None:
    pytest.importorskip("nibabel")
    save_nifti(tmp_path / "a.nii", np.arange(1000, dtype=np.int16).reshape(10, 10, 10))
    content = bytearray(gzip.compress((tmp_path / "a.nii").read_bytes()))
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert read_nifti(tmp_path / "a.nii.gz").shape == (10, 10, 10)
    content[-6] ^= 1
    (tmp_path / "a.nii.gz").write_bytes(content)
    with pytest.raises(InputError, match="CRC"):
        read_nifti(tmp_path / "a.nii.gz")


def test_a_compressed_volume_is_unpacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nibabel")
    values = np.random.default_rng(0).integers(0, 900, (64, 64, 40)).astype(np.int16)
    save_nifti(tmp_path / "a.nii.gz", values)
    read_bytes = 0

    class Counting(gzip.GzipFile):
        def readinto(self, buffer: Any) -> int:
            nonlocal read_bytes
            count = super().readinto(buffer)
            read_bytes += count
            return count

    monkeypatch.setattr(gzip, "GzipFile", Counting)
    np.testing.assert_array_equal(read_nifti(tmp_path / "a.nii.gz").voxels, values)
    assert read_bytes == values.nbytes


def test_a_deflated_data_set_is_read_as_others(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    values = np.random.default_rng(0).integers(-900, 900, (30, 40, 3)).astype(np.int16)
    for path in save_dicom(tmp_path / "plain", values):
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
        (tmp_path / "deflated").mkdir(exist_ok=True)
        data.save_as(tmp_path / "deflated" / path.name, enforce_file_format=True)
    plain, packed = open_file(tmp_path / "plain").volume, open_file(tmp_path / "deflated").volume
    np.testing.assert_array_equal(plain.voxels, packed.voxels)
    np.testing.assert_array_equal(plain.affine, packed.affine)


def test_only_the_head_of_a_deflated_data_set_is_unpacked_to_group_it(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    from s3net_jax.io.dicom import stream as dicom_stream

    (path,) = save_dicom(tmp_path, np.zeros((900, 900, 1)))
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.PixelData = np.random.default_rng(0).integers(0, 99, 900 * 900, np.uint16).tobytes()
    data.save_as(path, enforce_file_format=True)
    data = dicom_stream.read_data_set(pydicom, path, stop_before_pixels=True)
    assert data.Rows == 900 and "PixelData" not in data
    assert len(dicom_stream.read_data_set(pydicom, path).PixelData) == 900 * 900 * 2


@pytest.mark.parametrize(
    ("form", "options"),
    [
        ("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("JPEG2000", {}),
        ("JPEG2000", {"no_jp2": True, "tile_size": (32, 32)}), ("WEBP", {}),
        ("WEBP", {"lossless": True}), ("WEBP", {"exif": b"Exif\0\0MM"}),
    ],
)  # fmt: skip
def test_sizes_of_codestreams(tmp_path: Path, form: str, options: dict[str, Any]) -> None:
    from PIL import features

    if form == "JPEG2000" and not features.check("jpg_2000"):
        pytest.skip("Pillow without JPEG 2000")
    noise = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    PilImage.fromarray(noise).save(tmp_path / "x", form, **options)
    found = find_pictures((tmp_path / "x").read_bytes())
    assert {(p.width, p.height, p.samples) for p in found} == {(90, 70, 3)}


@pytest.mark.parametrize("shape", [(70, 90), (64, 64), (300, 200), (256, 256), (1200, 1600)])
def test_size_of_jpeg_xl_and_jpeg_ls(shape: tuple[int, int]) -> None:
    codecs = pytest.importorskip("imagecodecs")
    ramp = np.add.outer(np.arange(shape[0]), np.arange(shape[1])).astype(np.uint8)
    for name in ("jpegxl", "jpegls"):
        if not getattr(codecs, name.upper()).available:
            continue
        (found,) = find_pictures(getattr(codecs, f"{name}_encode")(ramp))
        assert (found.height, found.width) == shape, name


def test_fine_cuts_of_jpeg_2000_are_counted() -> None:
    (plain,) = find_pictures(make_jpeg2000(4000, 4000))
    (cut,) = find_pictures(make_jpeg2000(4000, 4000, precinct=2))
    assert plain.overhead < 10 << 20 and cut.overhead > 200 << 20
