"""Files that OpenCV, tifffile, imagecodecs, Pillow and scikit-image wrote show the numbers that one
of the others reads: the picture of a file is the picture of the array."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from s3net_jax.io import InputError, from_array, read, read_stack, to_image
from s3net_jax.io.tiff import page as tiff_page

cv2 = pytest.importorskip("cv2")
imagecodecs = pytest.importorskip("imagecodecs")

Y, X = np.mgrid[:37, :50]


def draw_colors(dtype: Any = np.uint16, top: float = 4095, bands: int = 3) -> np.ndarray:
    """(37, 50, bands) or (37, 50): a disc on a ground, with noise, up to ``top``."""
    random = np.random.default_rng(0)
    values = np.full((37, 50, 3), (0.8, 0.6, 0.5))
    values[(Y - 18) ** 2 + (X - 25) ** 2 < 100] = (0.7, 0.3, 0.2)
    values = (values + random.normal(0, 0.02, values.shape)).clip(0, 1) * top
    alpha = np.full((37, 50, 1), top)
    values = np.concatenate([values, alpha], -1).astype(dtype)
    return {1: values[..., 0], 3: values[..., :3], 4: values}[bands]


def read_with_opencv(path: Path) -> np.ndarray:
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert values is not None
    return values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[-1]]]


def read_with_tifffile(path: Path) -> np.ndarray:
    values = tifffile.imread(path)
    return np.moveaxis(values, 0, -1) if values.shape[0] == 3 else values


def read_with_pillow(path: Path) -> np.ndarray:
    with PilImage.open(path) as picture:
        return np.asarray(picture.convert("RGB" if picture.mode != "1" else "L"))


def read_with_scikit_image(path: Path) -> np.ndarray:
    from skimage import io

    return io.imread(path)


def opencv(values: np.ndarray, *options: int) -> Callable[[Path], Any]:
    stored = values if values.ndim == 2 else values[..., [2, 1, 0, 3][: values.shape[-1]]]
    return lambda path: cv2.imwrite(str(path), stored, options)


def tiffs(values: np.ndarray, **options: Any) -> Callable[[Path], Any]:
    options.setdefault("photometric", "rgb" if values.ndim == 3 else "minisblack")
    stored = np.moveaxis(values, -1, 0) if options.get("planarconfig") == "separate" else values
    return lambda path: tifffile.imwrite(path, stored, **options)


def pillow(values: np.ndarray, mode: str | None = None, **options: Any) -> Callable[[Path], Any]:
    picture = PilImage.fromarray(values)
    return lambda path: (picture.convert(mode) if mode else picture).save(path, **options)


def read_bytes(content: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(content)


def png(values: np.ndarray, kind: int, interlaced: bool = False, key: bytes = b"") -> bytes:
    """A 16-bit PNG of colour type ``kind``, with filter 0."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    first = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    passes = (*first, (0, 1, 1, 2)) if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(
        b"\0" + row.astype(">u2").tobytes()
        for left, top, across, down in passes
        for row in values[top::down, left::across]
        if row.size
    )
    height, width = values.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, interlaced)
    middle = chunk(b"tRNS", key) if key else b""
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + middle + data + chunk(b"IEND", b"")


def plain_ppm(values: np.ndarray, top: int) -> bytes:
    head = f"P3\n# a comment\n{values.shape[1]} {values.shape[0]}\n{top}\n"
    return (head + "\n".join(map(str, values.ravel().tolist())) + "\n").encode()


RGB, GREY = draw_colors(), draw_colors(bands=1)
LOW, EIGHT = draw_colors(top=250), draw_colors(np.uint8, 255)
FILES: dict[str, tuple[str, Callable[[Path], Any], Callable[[Path], np.ndarray]]] = {
    "grey of 16 bits": ("png", opencv(GREY), read_with_opencv),
    "colour of 12 bits in 16": ("png", opencv(RGB), read_with_opencv),
    "colour of 8 bits in 16": ("png", opencv(LOW), read_with_opencv),
    "opaque colour of 16 bits": ("png", opencv(draw_colors(top=65535, bands=4)), read_with_opencv),
    "interlaced": ("png", read_bytes(png(RGB, 2, True)), read_with_opencv),
    "interlaced, with opacity": (
        "png",
        read_bytes(png(draw_colors(top=65535, bands=4), 6, True)),
        read_with_opencv,
    ),
    "by imagecodecs": (
        "png",
        lambda p: p.write_bytes(imagecodecs.png_encode(RGB.copy())),
        read_with_opencv,
    ),
    "colour of 8 bits": ("png", opencv(EIGHT), read_with_pillow),
    "deep PPM": ("ppm", opencv(RGB), read_with_opencv),
    "deep PGM": ("pgm", opencv(GREY), read_with_opencv),
    "PPM of 8 bits": ("ppm", opencv(EIGHT), read_with_pillow),
    "deep PPM in decimal": ("ppm", read_bytes(plain_ppm(RGB, 65535)), read_with_opencv),
    "PFM": ("pfm", opencv(draw_colors(np.float32, 3)), read_with_opencv),
    "grey PFM": ("pfm", opencv(draw_colors(np.float32, 3, 1)), read_with_opencv),
    "TIFF": ("tif", tiffs(RGB), read_with_opencv),
    "TIFF by OpenCV (LZW)": ("tif", opencv(RGB), read_with_tifffile),
    "low values in TIFF": ("tif", tiffs(LOW), read_with_opencv),
    "deflate with predictor": (
        "tif",
        tiffs(RGB, compression="zlib", predictor=True),
        read_with_opencv,
    ),
    "LZW in tiles": ("tif", tiffs(RGB, compression="lzw", tile=(16, 32)), read_with_opencv),
    "zstd": ("tif", tiffs(RGB, compression="zstd"), read_with_tifffile),
    "JPEG 2000 in TIFF": ("tif", tiffs(RGB, compression="jpeg2000"), read_with_tifffile),
    "separate planes": ("tif", tiffs(RGB, planarconfig="separate"), read_with_tifffile),
    "big-endian": ("tif", tiffs(RGB, byteorder=">"), read_with_opencv),
    "BigTIFF": ("tif", tiffs(RGB, bigtiff=True), read_with_tifffile),
    "white is zero": (
        "tif",
        tiffs(GREY, photometric="miniswhite"),
        lambda path: GREY.max() - read_with_tifffile(path),
    ),
    "signed": ("tif", tiffs(draw_colors(np.int16, 900, 1) - np.int16(400)), read_with_tifffile),
    "signed colour": ("tif", tiffs(draw_colors(np.int32, 900) - np.int32(400)), read_with_tifffile),
    "colour of 32 bits": ("tif", tiffs(draw_colors(np.uint32, 1e9)), read_with_tifffile),
    "half floats": ("tif", tiffs(draw_colors(np.float16, 900)), read_with_tifffile),
    "floats in [0, 1]": ("tif", tiffs(draw_colors(np.float32, 1)), read_with_opencv),
    "doubles": ("tif", tiffs(draw_colors(np.float64, 1e5, 1)), read_with_opencv),
    "packed 10 bits": ("tif", tiffs(draw_colors(top=1000), bitspersample=10), read_with_tifffile),
    "packed 12 bits": ("tif", tiffs(GREY, bitspersample=12), read_with_tifffile),
    "packed 14 bits": ("tif", tiffs(RGB, bitspersample=14), read_with_tifffile),
    "fax": ("tif", pillow(EIGHT[..., 0] > 190, compression="group4"), read_with_pillow),
    "JPEG in TIFF": ("tif", pillow(EIGHT, compression="jpeg"), read_with_tifffile),
    "YCbCr": ("tif", pillow(EIGHT, "YCbCr"), read_with_pillow),
    "CMYK": ("tif", pillow(EIGHT, "CMYK"), read_with_pillow),
    "BMP": ("bmp", opencv(EIGHT), read_with_pillow),
    "GIF": ("gif", pillow(EIGHT, "P"), read_with_pillow),
    "WebP": ("webp", pillow(EIGHT, lossless=True), read_with_opencv),
    "JPEG": ("jpg", pillow(EIGHT, quality=95), read_with_opencv),
    "progressive JPEG": (
        "jpg",
        pillow(EIGHT, quality=95, progressive=True),
        read_with_scikit_image,
    ),
}
LOSSY = ("JPEG in TIFF", "JPEG", "progressive JPEG")  # decoders round as they like


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_the_array_that_others_read(tmp_path: Path, kind: str) -> None:
    suffix, write, other = FILES[kind]
    path = tmp_path / f"a.{suffix}"
    write(path)
    expected = other(path)
    if expected.dtype == bool:
        expected = expected.astype(np.uint8) * np.uint8(255)
    image = read(path)
    assert not image.notes
    wanted = from_array(expected)
    assert image.pixels.dtype == wanted.pixels.dtype
    if kind == "white is zero":  # its percentiles are those of the negative
        np.testing.assert_allclose(image.pixels, wanted.pixels, atol=1e-6)
        return
    assert np.abs(image.pixels.astype(float) - wanted.pixels).max() <= (3 if kind in LOSSY else 0)
    assert image.window == wanted.window


def test_a_window_holds_for_deep_colours(tmp_path: Path) -> None:
    for name, write in (("a.png", opencv(RGB)), ("a.tif", tiffs(RGB)), ("a.ppm", opencv(RGB))):
        write(tmp_path / name)
        image = read(tmp_path / name, (1000, 3000))
        assert image.window == (1000, 3000) and not image.notes
        np.testing.assert_array_equal(image.pixels, from_array(RGB, window=(1000, 3000)).pixels)


def test_without_imagecodecs_pillow_gives_all_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cases = [tiffs(RGB, compression="lzw"), tiffs(RGB, byteorder=">", compression="lzw")]
    expected = from_array(RGB).pixels
    for write in [*cases, tiffs(RGB, compression="lzw", tile=(16, 32), predictor=True)]:
        write(tmp_path / "a.tif")
        monkeypatch.setattr(tiff_page, "_is_decodable", lambda page: False)
        np.testing.assert_array_equal(read(tmp_path / "a.tif").pixels, expected)
    tifffile.imwrite(tmp_path / "b.tif", np.stack([RGB] * 2), compression="lzw", photometric="rgb")
    np.testing.assert_array_equal(read_stack(tmp_path / "b.tif").voxels, [RGB, RGB])
    write = tiffs(RGB, compression="lzw", planarconfig="separate")
    write(tmp_path / "c.tif")
    with pytest.raises(InputError, match="compression LZW"):
        read(tmp_path / "c.tif")


def blend_over_white(values: np.ndarray, share: np.ndarray) -> np.ndarray:
    """What is shown of ``values`` where ``share`` is opaque."""
    low, high = np.percentile(values[share > 0], (0.5, 99.5))
    shown = np.clip((values - low) / (high - low), 0, 1)
    share = share[..., None] if values.ndim == 3 else share
    return shown * share + 1 - share


def test_deep_opacity_is_over_white(tmp_path: Path) -> None:
    share = np.where(X < 20, 0, np.where(X < 30, 0.5, 1))
    alpha = np.round(share * 65535).astype(np.uint16)
    rgba, grey = np.dstack([RGB, alpha]), np.dstack([GREY, alpha])
    premultiplied = np.dstack([np.round(RGB * (alpha / 65535)[..., None]), alpha])
    options: Any = {"planarconfig": "contig", "photometric": "minisblack"}
    writers = {
        "a.png": (read_bytes(png(rgba, 6)), RGB),
        "b.png": (read_bytes(png(grey, 4)), GREY),
        "c.png": (read_bytes(png(grey, 4, True)), GREY),
        "d.tif": (tiffs(rgba, extrasamples=["unassalpha"]), RGB),
        "e.tif": (tiffs(premultiplied.astype(np.uint16), extrasamples=["assocalpha"]), RGB),
        "f.tif": (tiffs(grey, extrasamples=["unassalpha"], **options), GREY),
        "g.tif": (tiffs(rgba, extrasamples=["unassalpha"], compression="lzw"), RGB),
    }
    for name, (write, values) in writers.items():
        write(tmp_path / name)
        image = read(tmp_path / name)
        assert not image.notes
        # Colours behind half opacity were rounded when they were multiplied.
        close = 1e-3 if name == "e.tif" else 1e-4
        np.testing.assert_allclose(
            image.pixels, blend_over_white(values, alpha / 65535), atol=close
        )
    np.testing.assert_array_equal(to_image(rgba).pixels, read(tmp_path / "a.png").pixels)


def test_the_transparent_colour_of_a_deep_png_is_white(tmp_path: Path) -> None:
    values, grey = RGB.copy(), GREY.copy()
    values[:, :9], grey[:, :9] = (7, 8, 9), 7
    values[0, 20] = (7, 8, 10)  # differs in the lower byte alone
    (tmp_path / "a.png").write_bytes(png(values, 2, key=struct.pack(">HHH", 7, 8, 9)))
    (tmp_path / "b.png").write_bytes(png(grey, 0, key=struct.pack(">H", 7)))
    image = read(tmp_path / "a.png")
    assert (image.pixels[:, :9] == 1).all() and (image.pixels[0, 20] < 1).any()
    image = read(tmp_path / "b.png")
    assert (image.pixels[:, :9] == 1).all() and image.pixels.ndim == 2


def test_eight_bits_in_sixteen_look_alike(tmp_path: Path) -> None:
    """Full-range colours lose at most what the percentiles clip and stretch."""
    values = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), values[..., ::-1].astype(np.uint16) * 257)
    assert np.abs(read(tmp_path / "a.png").rgb8().astype(int) - values).max() <= 2


def test_a_turned_deep_png_is_upright(tmp_path: Path) -> None:
    opencv(np.ascontiguousarray(np.rot90(RGB)))(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    exif = PilImage.Exif()
    exif[0x0112] = 6
    data = b"eXIf" + exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(data) - 4) + data + struct.pack(">I", zlib.crc32(data))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    image = read(tmp_path / "a.png")
    np.testing.assert_array_equal(image.pixels, from_array(RGB).pixels)
    assert image.stored_size == (37, 50)


def test_a_palette_of_16_bits(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(0, 65536, (3, 65536)).astype(np.uint16)
    places = np.arange(37 * 50, dtype=np.uint16).reshape(37, 50) * 30
    tifffile.imwrite(tmp_path / "a.tif", places, photometric="palette", colormap=table)
    expected = (np.moveaxis(table, 0, -1)[places] >> 8).astype(np.uint8)
    np.testing.assert_array_equal(read(tmp_path / "a.tif").pixels, expected)


def test_pil_images_say_that_they_have_8_bits(tmp_path: Path) -> None:
    opencv(RGB * np.uint16(16))(tmp_path / "a.png")
    with PilImage.open(tmp_path / "a.png") as picture:
        (note,) = to_image(picture).notes
    assert "has 16 bits per colour and PIL keeps 8: pass the path" in note


@pytest.mark.parametrize(
    "content", [b"P6 50 37 4095\n\0\1", b"P3 50 37 4095\n1 2 3", b"PF 9 9 -1\n"]
)
def test_a_short_pnm_is_broken(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.ppm").write_bytes(content)
    with pytest.raises(InputError, match="broken or cut off"):
        read(tmp_path / "a.ppm")


def test_formats_that_are_not_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    encoded = {
        "a JPEG 2000 picture": imagecodecs.jpeg2k_encode(EIGHT.copy(), codecformat="jp2"),
        "a JPEG XL": imagecodecs.jpegxl_encode(EIGHT.copy()),
        "a JPEG of 12 bits": imagecodecs.jpeg_encode(RGB.copy(), bitspersample=12),
        "a HEIC picture": b"\0\0\0\x18ftypheic" + bytes(99),
    }
    for words, content in encoded.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=f"is not a supported image.*{words}"):
            read(path)
