"""TIFF files of every kind of number, layout and compression give the numbers written."""

from __future__ import annotations

import itertools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from s3net_jax.config import Config
from s3net_jax.io import InputError, from_array, read, read_stack
from s3net_jax.io.stack import is_stack
from s3net_jax.run.cases import VolumeCase

KINDS = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")


def numbers(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.default_rng(0)
    if kind.startswith("f"):
        return random.uniform(-500, 1500, shape).astype(kind)
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max, shape, kind, endpoint=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite", "rgb"])
def test_pages_are_as_written(tmp_path: Path, kind: str, photometric: Any) -> None:
    path = tmp_path / "a.tif"
    options = itertools.product(
        ("<", ">"), ("contig", "separate"), (None, "zlib"), (None, (16, 16))
    )
    for order, planar, compression, tile in options:
        if photometric != "rgb" and planar == "separate":
            continue
        values = numbers(kind, (21, 30) if photometric != "rgb" else (21, 30, 3))
        stored = np.moveaxis(values, -1, 0) if planar == "separate" else values
        tifffile.imwrite(
            path,
            stored,
            byteorder=order,
            photometric=photometric,
            planarconfig=planar if photometric == "rgb" else None,
            compression=compression,
            tile=tile,
        )
        expected = from_array(values).rgb8().astype(int)
        if photometric == "miniswhite":
            expected = 255 - expected
        found = read(path)
        assert np.abs(found.rgb8() - expected).max() <= (photometric == "miniswhite")
        assert not found.notes and found.path == path and found.stored_size == (30, 21)


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "u4", "f4", "f8"])
def test_stacks_with_white_as_zero_are_negatives(tmp_path: Path, kind: str) -> None:
    values = numbers(kind, (2, 21, 30))
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    assert is_stack(tmp_path / "a.tif")
    pieces = VolumeCase(read_stack(tmp_path / "a.tif"), Config())
    tifffile.imwrite(tmp_path / "b.tif", values, photometric="minisblack")
    others = VolumeCase(read_stack(tmp_path / "b.tif"), Config())
    for n in range(2):
        one, other = pieces.piece(n), others.piece(n)
        assert one is not None and other is not None
        assert np.abs(one.rgb8() + other.rgb8().astype(int) - 255).max() <= 1


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_lzw", "packbits", None])
@pytest.mark.parametrize(("kind", "predictor"), [("u2", 2), ("i4", 2), ("f4", 3), ("f4", 1)])
def test_what_pil_wrote(tmp_path: Path, kind: str, compression: Any, predictor: int) -> None:
    if compression in ("packbits", None):
        predictor = 1
    values = numbers(kind, (21, 30))
    picture = PilImage.fromarray(values)
    options = {"compression": compression} if compression else {}
    for path in (tmp_path / "a.tif", tmp_path / "b.tif"):
        pages = {} if path.stem == "a" else {"save_all": True, "append_images": [picture]}
        picture.save(path, tiffinfo={317: predictor}, **options, **pages)
    np.testing.assert_array_equal(read(tmp_path / "a.tif").pixels, from_array(values).pixels)
    np.testing.assert_array_equal(read_stack(tmp_path / "b.tif").voxels, [values, values])


def test_orientation_is_applied(tmp_path: Path) -> None:
    values = numbers("f8", (20, 30))
    turned = [values, values[:, ::-1], values[::-1, ::-1], values[::-1], values.T]
    turned += [np.rot90(values, 1), values.T[::-1, ::-1], np.rot90(values, -1)]
    for orientation, stored in enumerate(turned, 1):
        tags = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(stored), extratags=tags)
        np.testing.assert_array_equal(read(tmp_path / "a.tif").pixels, from_array(values).pixels)


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_further_channels_are_noted(tmp_path: Path, kind: str) -> None:
    values = numbers(kind, (20, 30, 2))
    options: Any = {"photometric": "minisblack", "planarconfig": "contig"}
    tifffile.imwrite(tmp_path / "a.tif", values, extrasamples=["unspecified"], **options)
    image = read(tmp_path / "a.tif")
    assert image.notes[0].endswith("has 2 channels; only the first is segmented.")
    np.testing.assert_array_equal(image.pixels, from_array(values[..., 0]).pixels)


def test_what_is_not_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, numbers("u1", (20, 30, 3)) > 9, photometric="rgb")
    with pytest.raises(InputError, match=r"3 channels of 1-bit numbers.*: save it as grey or RGB"):
        read(path)
    picture = PilImage.fromarray(numbers("i4", (20, 30)))
    picture.save(path, compression="tiff_lzw")
    signed, unsigned = b"\x53\x01\x03\0\x01\0\0\0\x02", b"\x53\x01\x03\0\x01\0\0\0\x01"
    path.write_bytes(path.read_bytes().replace(signed, unsigned))
    if find_spec("imagecodecs") is None:
        with pytest.raises(InputError, match="uint32 samples in the unsupported compression LZW"):
            read(path)


def test_what_ends_early_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for compression in (None, "zlib"):
        tifffile.imwrite(path, numbers("f8", (2, 20, 30)), compression=compression)
        path.write_bytes(path.read_bytes()[:-200])
        with pytest.raises(InputError, match="broken or cut off"):
            read_stack(path)
    tifffile.imwrite(path, numbers("f8", (20, 30)))
    content = bytearray(path.read_bytes())
    place = content.index(b"\x00\x01\x04\x00\x01\x00\x00\x00")  # the tag of the width
    content[place + 8 : place + 12] = b"\xff\xff\x0f\0"
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken or cut off"):
        read(path)


def test_pages_in_a_circle_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for page in numbers("f8", (2, 20, 30)):
            file.write(page, contiguous=False)
    with tifffile.TiffFile(path) as file:
        first, place = file.pages.first.offset, file.pages.next_page_offset
    assert place is not None
    content = bytearray(path.read_bytes())
    content[place : place + 4] = first.to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="broken or cut off"):
        read(path)
