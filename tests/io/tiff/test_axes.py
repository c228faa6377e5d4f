"""Whatever program declared a TIFF file's axes: slices are read, and what is left out is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from s3net_jax.io import InputError, read, read_stack
from s3net_jax.io.stack import is_stack


def values(*shape: int, dtype: Any = np.uint16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def check(path: Path, expected: np.ndarray, *notes: str) -> None:
    """``path`` is a stack of ``expected``, with notes that end so."""
    assert is_stack(path)
    volume = read_stack(path)
    np.testing.assert_array_equal(volume.voxels, expected)
    assert volume.voxels.dtype == expected.dtype.newbyteorder("=")
    assert len(volume.notes) == len(notes)
    for note, words in zip(volume.notes, notes, strict=True):
        assert note == f"{path} {words}"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("truncate", [True, False])
@pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
def test_slices(tmp_path: Path, dtype: Any, truncate: bool, kind: str) -> None:
    if truncate and kind == "ome":
        return
    path, pages = tmp_path / "a.tif", values(10, 24, 30, dtype=dtype)
    options: Any = {"imagej": {"imagej": True}, "ome": {"ome": True}}.get(kind, {})
    tifffile.imwrite(path, pages, truncate=truncate, metadata={"axes": "ZYX"}, **options)
    with tifffile.TiffFile(path) as file:
        assert len(file.pages) == (1 if truncate else 10)
    check(path, pages)


@pytest.mark.parametrize("options", [{"imagej": True}, {"imagej": True, "truncate": True}, {}])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_slices_in_colour(tmp_path: Path, options: Any, dtype: Any) -> None:
    if options.get("imagej"):
        dtype = np.uint8
    path, pages = tmp_path / "a.tif", values(5, 24, 30, 3, dtype=dtype)
    tifffile.imwrite(path, pages, photometric="rgb", metadata={"axes": "ZYXS"}, **options)
    check(path, pages)


@pytest.mark.parametrize("options", [{"imagej": True}, {"imagej": True, "truncate": True}])
def test_imagej_of_all_axes(tmp_path: Path, options: Any) -> None:
    path, pages = tmp_path / "a.tif", values(2, 5, 3, 24, 30)
    tifffile.imwrite(path, pages, metadata={"axes": "TZCYX"}, **options)
    left = "has 2 time points and 3 channels; only the first of each is segmented."
    check(path, pages[0, :, 0], left)


@pytest.mark.parametrize("axes", ["CZTYX", "ZCTYX", "TCZYX", "CTZYX"])
@pytest.mark.parametrize("options", [{"ome": True}, {"photometric": "minisblack"}])
def test_axes_in_any_order(tmp_path: Path, axes: str, options: Any) -> None:
    lengths = {"C": 2, "Z": 4, "T": 3, "Y": 24, "X": 30}
    path, pages = tmp_path / "a.tif", values(*(lengths[axis] for axis in axes))
    tifffile.imwrite(path, pages, metadata={"axes": axes}, **options)
    place = tuple(slice(None) if axis in "ZYX" else 0 for axis in axes)
    held = " and ".join({"C": "2 channels", "T": "3 time points"}[a] for a in axes if a in "CT")
    check(path, pages[place], f"has {held}; only the first of each is segmented.")


def test_time_points_without_slices_are_slices(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", values(6, 24, 30)
    tifffile.imwrite(path, pages, imagej=True, truncate=True, metadata={"axes": "TYX"})
    check(path, pages)


def test_channels_are_no_slices(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", values(10, 24, 30)
    tifffile.imwrite(path, pages[:3], imagej=True, metadata={"axes": "CYX"})
    assert not is_stack(path)
    assert read(path).notes == (f"{path} has 3 channels; only the first is segmented.",)
    # Written without axes, slices are declared as channels; nobody has as many of those.
    tifffile.imwrite(path, pages, imagej=True)
    check(path, pages, "declares 10 channels; they are read as slices.")


def test_a_page_that_is_a_volume(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", values(6, 40, 50)
    tifffile.imwrite(path, pages, volumetric=True, tile=(2, 32, 32))
    check(path, pages)


def test_pages_with_a_palette(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", values(4, 24, 30, dtype=np.uint8)
    table = np.stack([np.arange(256)[::-1], np.arange(256), np.full(256, 9)]).astype(np.uint16)
    shown = np.moveaxis(table, 0, -1)[pages].astype(np.uint8)
    for truncate in (False, True):
        tifffile.imwrite(
            path, pages, photometric="palette", colormap=table * 257, truncate=truncate
        )
        check(path, shown)


def test_pages_with_opacity(tmp_path: Path) -> None:
    pages = values(3, 24, 30, 4, dtype=np.uint8)
    pictures = [PilImage.fromarray(page) for page in pages]
    pictures[0].save(tmp_path / "a.tif", save_all=True, append_images=pictures[1:])
    volume = read_stack(tmp_path / "a.tif")
    for picture, page in zip(pictures, volume.voxels, strict=True):
        picture.save(tmp_path / "b.png")
        np.testing.assert_array_equal(page, read(tmp_path / "b.png").pixels)


def test_a_pyramid_is_one_picture_of_slices(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", values(4, 64, 72)
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pages, subifds=2, metadata={"axes": "ZYX"})
        file.write(pages[:, ::2, ::2], subfiletype=1)
        file.write(pages[:, ::4, ::4], subfiletype=1)
    check(path, pages, "also contains 2 reduced copies, which are not segmented.")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_thumbnails_and_masks_are_no_pages(tmp_path: Path, dtype: Any) -> None:
    path, page = tmp_path / "a.tif", values(64, 72, dtype=dtype)
    with tifffile.TiffWriter(path) as file:
        file.write(page[::4, ::4], subfiletype=1, metadata=None)
        file.write(page, metadata=None)
        file.write(page > 100, subfiletype=4, photometric=4, metadata=None)
    assert not is_stack(path)
    image = read(path)
    assert image.shape == (64, 72)
    assert image.notes[0] == (
        f"{path} also contains 1 reduced copy and 1 transparency mask, which are not segmented."
    )


def test_a_further_picture_is_named(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", values(4, 24, 30)
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(pages, metadata={"axes": "ZYX"})
        file.write(pages[0, ::2], metadata={"axes": "YX"})
    check(path, pages, "also contains 1 further picture, which is not segmented.")


def ome(path: Path, pages: np.ndarray, planes: list[tuple[str, int, int, int]]) -> None:
    """``pages`` as OME-TIFF that declares 2 channels of 4 slices: (file, channel, slice, page)."""
    data = "".join(
        f'<TiffData FirstC="{c}" FirstZ="{z}" FirstT="0" IFD="{n}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for name, c, z, n in planes
    )
    head = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
        f'UUID="urn:uuid:{path.name}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint16" SizeX="30" SizeY="24" SizeZ="4" SizeC="2" '
        'SizeT="1"><Channel ID="c0" SamplesPerPixel="1"/><Channel ID="c1" SamplesPerPixel="1"/>'
    )
    with tifffile.TiffWriter(path) as file:
        for n, page in enumerate(pages):
            text = f"{head}{data}</Pixels></Image></OME>" if n == 0 else None
            file.write(page, description=text, metadata=None, contiguous=False)


def test_what_other_files_hold_is_named_and_not_opened(tmp_path: Path) -> None:
    one, two = tmp_path / "a.ome.tif", tmp_path / "b.ome.tif"
    pages = values(8, 24, 30)
    # The second channel is in the second file, in the opposite order.
    planes = [(one.name, 0, z, z) for z in range(4)] + [(two.name, 1, z, 3 - z) for z in range(4)]
    ome(one, pages[:4], planes)
    ome(two, pages[4:], planes)
    check(one, pages[:4], "has 2 channels; only the first is segmented.")
    check(two, pages[:3:-1], "has 2 channels; only channel 2 is segmented.")
    ome(one, pages[:2], [("../b.ome.tif", 1, 0, 0), *planes[:4]])
    check(
        one,
        pages[:2],
        "has 2 channels; only the first is segmented.",
        "declares 4 slices, but contains only 2; these are segmented.",
    )


def test_broken_metadata_leave_the_pages(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.ome.tif", values(3, 24, 30)
    with tifffile.TiffWriter(path) as file:
        for n, page in enumerate(pages):
            file.write(page, description="<OME " * (n == 0), metadata=None, contiguous=False)
    check(path, pages)


def test_missing_pictures_are_named_and_cut_ones_broken(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.tif", values(10, 24, 30)
    tifffile.imwrite(path, pages, imagej=True, truncate=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(path) as file:
        text = file.pages.first.description
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    for reader in (read, read_stack):
        with pytest.raises(InputError, match="it declares 10 pictures and ends after 4"):
            reader(path)
    # One of the pages alone, by a program that copied the description.
    tifffile.imwrite(path, pages[0], description=text, metadata=None)
    assert read(path).notes == (f"{path} declares 10 pictures, but contains only 1.",)


def test_any_suffix(tmp_path: Path) -> None:
    path, pages = tmp_path / "a.scan", values(5, 24, 30)
    tifffile.imwrite(path, pages)
    check(path, pages)
