"""The pixel size of an input is in its results, as other programs read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from s3net_jax.io import read_resolution
from tests.fakes import install_fit
from tests.run import small

MICRON = "\N{MICRO SIGN}m"


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def pixels(*shape: int) -> np.ndarray:
    """Grey with a bright rectangle, so that there is something to segment."""
    values = np.random.default_rng(0).integers(20, 40, shape).astype(np.uint8)
    values[..., 10:25, 8:30] += 150
    return values


def results(tmp_path: Path, path: Path) -> list[Path]:
    assert small.run(tmp_path, path).done == 1
    suffix = "tif" if (tmp_path / f"out/{path.stem}.mask.tif").exists() else "png"
    return [tmp_path / f"out/{path.stem}.{kind}.{suffix}" for kind in ("labels", "mask")]


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
def test_pictures_keep_dots_per_inch(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    PilImage.fromarray(pixels(40, 50)).save(path, dpi=(300, 150))
    with PilImage.open(path) as file:
        expected = [float(value) for value in file.info["dpi"]]
    for result in results(tmp_path, path):
        with PilImage.open(result) as file:
            # PNG counts whole pixels per metre: 0.0254 dots per inch.
            np.testing.assert_allclose(file.info["dpi"], expected, atol=0.0254)
            assert np.asarray(file).shape == (40, 50)


def test_a_png_keeps_its_exact_pixels_per_metre(tmp_path: Path) -> None:
    PilImage.fromarray(pixels(40, 50)).save(tmp_path / "a.png", dpi=(72.009, 71.9836))
    chunk = (tmp_path / "a.png").read_bytes().split(b"pHYs")[1][:9]
    for result in results(tmp_path, tmp_path / "a.png"):
        assert result.read_bytes().split(b"pHYs")[1][:9] == chunk


def test_pixels_of_unknown_size_that_are_not_square(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif", pixels(40, 50), resolution=(2, 3), resolutionunit=1, metadata=None
    )
    for result in results(tmp_path, tmp_path / "a.tif"):
        with PilImage.open(result) as file:
            assert file.info["aspect"] == (2, 3) and "dpi" not in file.info


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_turned_picture_has_its_resolution_turned(tmp_path: Path, orientation: int) -> None:
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    PilImage.fromarray(pixels(40, 50)).save(tmp_path / "a.jpg", dpi=(300, 150), exif=exif)
    for result in results(tmp_path, tmp_path / "a.jpg"):
        with PilImage.open(result) as file:
            turned = orientation >= 5
            assert file.size == ((40, 50) if turned else (50, 40))
            expected = (150, 300) if turned else (300, 150)
            np.testing.assert_allclose(file.info["dpi"], expected, atol=0.0254)


@pytest.mark.parametrize("unit", [1, 2, 3])
def test_a_stack_keeps_its_tags(tmp_path: Path, unit: int) -> None:
    size: Any = ((300000, 7), (12345, 11))
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels(3, 40, 50),
        photometric="minisblack",
        resolution=size,
        resolutionunit=unit,
        metadata=None,
    )
    for result in results(tmp_path, tmp_path / "a.tif"):
        with tifffile.TiffFile(result) as file:
            assert len(file.pages) == 3
            for page in file.pages:
                tags: Any = page.aspage().tags
                assert tags["XResolution"].value == size[0]
                assert tags["YResolution"].value == size[1]
                assert tags["ResolutionUnit"].value == unit


@pytest.mark.parametrize("axes", ["ZYX", "TYX"])
@pytest.mark.parametrize("unit", ["micron", MICRON, "mm", ""])
def test_an_imagej_stack_keeps_unit_and_spacing(tmp_path: Path, axes: str, unit: str) -> None:
    metadata: dict[str, Any] = {"axes": axes, "spacing": 2.5}
    if unit:
        metadata["unit"] = unit.replace(MICRON, "\\u00B5m")
    tifffile.imwrite(
        tmp_path / "a.tif", pixels(3, 40, 50), imagej=True, resolution=(4, 5), metadata=metadata
    )
    for result in results(tmp_path, tmp_path / "a.tif"):
        with tifffile.TiffFile(result) as before, tifffile.TiffFile(tmp_path / "a.tif") as source:
            assert before.is_imagej
            found, wanted = before.imagej_metadata, source.imagej_metadata
            assert found is not None and wanted is not None
            assert found["spacing"] == 2.5 and found["images"] == 3
            assert str(found.get("unit", "")).lower() == str(wanted.get("unit", "")).lower()
            assert found["slices" if axes == "ZYX" else "frames"] == 3
            assert before.series[0].shape == (3, 40, 50) and before.series[0].axes == axes
            tags: Any = before.pages.first.tags
            assert tags["XResolution"].value == (4, 1) and tags["YResolution"].value == (5, 1)


def test_an_imagej_picture_in_microns(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        pixels(40, 50),
        imagej=True,
        resolution=(2, 4),
        metadata={"unit": "micron"},
    )
    for result in results(tmp_path, tmp_path / "a.tif"):
        chunk = result.read_bytes().split(b"pHYs")[1][:9]
        assert np.frombuffer(chunk[:8], ">u4").tolist() == [2_000_000, 4_000_000]


def test_an_ome_stack_keeps_its_physical_sizes(tmp_path: Path) -> None:
    metadata = {
        "axes": "ZYX",
        "PhysicalSizeX": 0.325,
        "PhysicalSizeXUnit": MICRON,
        "PhysicalSizeY": 0.5,
        "PhysicalSizeYUnit": MICRON,
        "PhysicalSizeZ": 1.25,
        "PhysicalSizeZUnit": "mm",
    }
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels(3, 40, 50), ome=True, metadata=metadata)
    for result in results(tmp_path, path):
        with tifffile.TiffFile(result) as file:
            assert file.is_ome and file.series[0].shape == (3, 40, 50)
            assert file.series[0].axes == "ZYX"
            text = str(file.ome_metadata)
        for key, value in metadata.items():
            if key != "axes":
                assert f'{key}="{value}"' in text.replace("&#181;", "\N{MICRO SIGN}")


def test_what_has_no_resolution(tmp_path: Path) -> None:
    PilImage.fromarray(pixels(40, 50)).save(tmp_path / "a.png")
    PilImage.fromarray(pixels(40, 50)).save(tmp_path / "a.jpg")
    PilImage.fromarray(pixels(40, 50)).save(tmp_path / "a.tif")
    (tmp_path / "b.png").write_bytes(b"no picture")
    for path in tmp_path.iterdir():
        assert read_resolution(path) is None, path
    for result in results(tmp_path, tmp_path / "a.png"):
        assert b"pHYs" not in result.read_bytes()
