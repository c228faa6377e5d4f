"""Files of every kind are read as a person sees them; bad ones say what is wrong."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.io import Image, InputError, from_array, from_pil, read, to_image
from tests.pictures import png_header


@pytest.fixture
def rgb() -> np.ndarray:
    """(20, 30, 3) uint8: red to the right, green downwards."""
    y, x = np.mgrid[:20, :30]
    return np.stack([x * 8, y * 12, np.full_like(x, 40)], -1).astype(np.uint8)


def save_and_read(tmp_path: Path, picture: PilImage.Image, name: str, **options) -> Image:
    picture.save(tmp_path / name, **options)
    return read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp"])
def test_colour_is_kept(tmp_path: Path, rgb: np.ndarray, name: str) -> None:
    options = {"lossless": True} if name.endswith("webp") else {}
    image = save_and_read(tmp_path, PilImage.fromarray(rgb), name, **options)
    np.testing.assert_array_equal(image.pixels, rgb)
    assert (image.shape, image.mode, image.stored_size) == ((20, 30), "RGB", (30, 20))
    assert image.path == tmp_path / name and not image.notes


def test_jpeg_and_cmyk_jpeg_look_alike(tmp_path: Path, rgb: np.ndarray) -> None:
    picture = PilImage.fromarray(rgb)
    for name, stored_picture in (("a.jpg", picture), ("b.jpg", picture.convert("CMYK"))):
        image = save_and_read(tmp_path, stored_picture, name, quality=95)
        assert image.pixels.shape == (20, 30, 3)
        assert np.abs(image.pixels.astype(int) - rgb).mean() < 6


def test_grey_and_one_bit_stay_grey(tmp_path: Path, rgb: np.ndarray) -> None:
    grey = rgb[..., 0]
    np.testing.assert_array_equal(
        save_and_read(tmp_path, PilImage.fromarray(grey), "a.png").pixels, grey
    )
    image = save_and_read(tmp_path, PilImage.fromarray(grey > 100), "b.png")
    np.testing.assert_array_equal(image.pixels, (grey > 100) * np.uint8(255))


def test_palette(tmp_path: Path, rgb: np.ndarray) -> None:
    picture = PilImage.fromarray((rgb[..., 0] > 100).astype(np.uint8))
    picture.putpalette([10, 20, 30, 200, 100, 50])
    image = save_and_read(tmp_path, picture, "a.png")
    assert sorted(map(tuple, np.unique(image.pixels.reshape(-1, 3), axis=0).tolist())) == [
        (10, 20, 30),
        (200, 100, 50),
    ]


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_white(tmp_path: Path, rgb: np.ndarray, mode: str) -> None:
    rgba = np.dstack([rgb, np.full((20, 30), 255, np.uint8)])
    rgba[:, :10, 3] = 0
    picture = PilImage.fromarray(rgba)
    if mode == "P":
        picture = PilImage.fromarray(rgb[..., 0] // 200)
        picture.putpalette([10, 20, 30, 200, 100, 50])
        image = save_and_read(tmp_path, picture, "a.png", transparency=0)
        assert (image.pixels[0, 0] == 255).all()
        assert image.pixels[0, -1].tolist() == [200, 100, 50]
        return
    image = save_and_read(tmp_path, picture.convert(mode), "a.png")
    assert image.pixels.ndim == (2 if mode == "LA" else 3)
    assert (image.pixels[:, :10] == 255).all()
    assert (image.pixels[:, 12:14] < 255).any()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, rgb: np.ndarray, orientation: int) -> None:
    """An image stored turned, with the tag that turns it back, reads as the upright one."""
    turned = {
        1: rgb,
        2: rgb[:, ::-1],
        3: rgb[::-1, ::-1],
        4: rgb[::-1],
        5: rgb.transpose(1, 0, 2),
        6: np.rot90(rgb, 1),
        7: rgb.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(rgb, -1),
    }[orientation]
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    picture = PilImage.fromarray(np.ascontiguousarray(turned))
    image = save_and_read(tmp_path, picture, "a.png", exif=exif.tobytes())
    np.testing.assert_array_equal(image.pixels, rgb)
    assert image.stored_size == picture.size


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_deep_grey_is_scaled_between_percentiles(tmp_path: Path, dtype: type) -> None:
    values = np.linspace(0, 60000, 40 * 50).reshape(40, 50).astype(dtype)
    image = save_and_read(tmp_path, PilImage.fromarray(values), "a.tif")
    assert image.pixels.dtype == np.float32 and image.pixels.ndim == 2
    assert image.pixels.min() == 0 and image.pixels.max() == 1
    assert image.window == pytest.approx(np.percentile(values, (0.5, 99.5)), rel=1e-6)
    middle = image.pixels[(values > 1000) & (values < 59000)]
    assert np.ptp(np.diff(middle)) < 1e-4, "linear between the percentiles"


def test_sixteen_bit_png_keeps_its_depth(tmp_path: Path) -> None:
    values = (np.arange(30 * 40).reshape(30, 40) + 1000).astype(np.uint16)
    image = save_and_read(tmp_path, PilImage.fromarray(values), "a.png")
    assert len(np.unique(image.pixels)) > 1000, "12 bits hidden in 16 must not become 5 grey levels"


def test_white_is_zero_tiff_is_turned_round(tmp_path: Path) -> None:
    values = np.linspace(0, 1000, 400).reshape(20, 20).astype(np.uint16)
    path = tmp_path / "a.tif"
    PilImage.fromarray(values).save(path, tiffinfo={262: 0})
    assert read(path).pixels[0, 0] == 1 and read(path).pixels[-1, -1] == 0


def test_one_outlier_does_not_flatten_the_rest() -> None:
    values = np.zeros((20, 20), np.int32)
    values[3:5, 3:5] = 7
    assert set(np.unique(from_array(values).pixels)) == {0, 1}


def test_pages_are_noted(tmp_path: Path, rgb: np.ndarray) -> None:
    first = PilImage.fromarray(rgb)
    image = save_and_read(tmp_path, first, "a.tif", save_all=True, append_images=[first, first])
    assert "3 pages; only the first" in image.notes[0]


def test_a_phone_picture_with_a_preview_is_one_picture(tmp_path: Path, rgb: np.ndarray) -> None:
    picture = PilImage.fromarray(rgb)
    image = save_and_read(
        tmp_path, picture, "a.jpg", format="MPO", save_all=True, append_images=[picture]
    )
    assert image.shape == (20, 30) and not image.notes


def test_arrays() -> None:
    grey = np.linspace(0, 1, 100).reshape(10, 10)
    np.testing.assert_array_equal(from_array(grey).pixels, grey.astype(np.float32))
    assert from_array(grey[..., None]).pixels.shape == (10, 10)
    assert from_array(grey > 0.5).pixels.dtype == np.uint8
    assert from_array(np.stack([grey] * 3, -1)).rgb8().dtype == np.uint8
    wide = from_array(grey * 255)
    assert wide.window is not None and wide.pixels.max() == 1
    rgba = np.full((10, 10, 4), 0, np.uint8)
    rgba[:5, :, 3] = 255
    assert from_array(rgba).pixels[-1, -1].tolist() == [255, 255, 255]


def test_one_door_for_everything(tmp_path: Path, rgb: np.ndarray) -> None:
    import jax.numpy as jnp

    picture = PilImage.fromarray(rgb)
    picture.save(tmp_path / "a.png")
    image = to_image(rgb)
    for source in (str(tmp_path / "a.png"), tmp_path / "a.png", picture, jnp.asarray(rgb)):
        np.testing.assert_array_equal(to_image(source).pixels, rgb)
    assert to_image(image) is image


def encode(tmp_path: Path, name: str) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    PilImage.fromarray(noise).save(tmp_path / name)
    return (tmp_path / name).read_bytes()


def test_bad_files_say_what_is_wrong(tmp_path: Path) -> None:
    contents = {
        "text.png": (b"This is no picture.\n" * 9, "this is text"),
        "page.png": (b"%PDF-1.7 \0\1", "a PDF"),
        "scan.png": (b"\0" * 128 + b"DICM", "DICOM"),
        "scan.nii.gz": (
            b"\x1f\x8b\x08\0",
            "a NIfTI volume; to segment its slices, use s3net_jax.segment_volume",
        ),
        "empty.png": (b"", "empty"),
        "noise.png": (bytes(range(256)), "not a supported image"),
        "bomb.png": (png_header(20_000, 20_000), "million pixels"),
        "big.png": (png_header(11_000, 11_000), "million pixels"),
        "pixel.png": (png_header(1, 1), ""),
        "cut.png": (encode(tmp_path, "x.png")[:4000], "broken or cut off"),
        "cut.jpg": (encode(tmp_path, "x.jpg")[:1500], "broken or cut off"),
        "cut.bmp": (encode(tmp_path, "x.bmp")[:4000], "broken or cut off"),
        "cut.tif": (encode(tmp_path, "x.tif")[:4000], ""),
    }
    for name, (content, words) in contents.items():
        (tmp_path / name).write_bytes(content)
        message = get_failure(tmp_path / name)
        assert words in message, message
    assert "does not exist" in get_failure(tmp_path / "missing.png")
    assert "is a folder" in get_failure(tmp_path)


def test_bad_pictures_say_what_is_wrong(tmp_path: Path) -> None:
    black = np.zeros((20, 20, 3), np.uint8)
    PilImage.fromarray(black).save(tmp_path / "black.png")
    PilImage.fromarray(black[:1, :1]).save(tmp_path / "pixel.png")
    assert "only one colour" in get_failure(tmp_path / "black.png")
    assert "1×1 pixels" in get_failure(tmp_path / "pixel.png")
    values = np.linspace(0, 1, 400, dtype=np.float32).reshape(20, 20)
    values[2, 3] = np.nan
    PilImage.fromarray(values).save(tmp_path / "nan.tif")
    assert "NaN" in get_failure(tmp_path / "nan.tif")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((20, 20), np.nan), "400 values"),
        (np.where(np.eye(20) > 0, np.inf, 0.0), "20 values"),
        (np.zeros((20, 20)), "only one colour"),
        (np.ones((1, 1, 3)), "1×1 pixels"),
        (np.zeros((0, 5)), "5×0 pixels"),
        (np.zeros((20, 20, 2)), "(20, 20, 2)"),
        (np.zeros(20), "(20,)"),
        (np.eye(20).astype(complex), "complex"),
        (np.array([["a", "b"]]), "needs a numeric dtype"),
        (np.random.default_rng(0).random((20, 20, 4)), "opacity"),
        (np.ma.masked_array(np.eye(20), np.eye(20) > 0), "is a masked array"),
        ([[1, 2], [1]], "cannot be converted to a numeric array"),
    ],
)
def test_bad_arrays_say_what_is_wrong(array: Any, words: str) -> None:
    with pytest.raises(InputError) as caught:
        from_array(array)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    import jax

    for source in (None, b"content", {}):
        with pytest.raises(TypeError, match="path, a PIL image or an array"):
            to_image(source)
    with pytest.raises(TypeError, match="traced array"):
        jax.jit(to_image)(np.eye(20))
    content = encode(tmp_path, "x.png")[:4000]
    with pytest.raises(InputError, match="broken or cut off"):
        to_image(PilImage.open(io.BytesIO(content)))


def test_a_window_holds_for_arrays_too() -> None:
    values = np.arange(400).reshape(20, 20)
    image = to_image(values, (100, 200))
    assert image.window == (100, 200) and not image.notes
    np.testing.assert_allclose(image.pixels, np.clip((values - 100) / 100, 0, 1), atol=1e-6)
    notes = to_image(values.astype(np.uint8), (100, 200)).notes
    assert notes == ("The array has 8 bits; the window is ignored.",)


def test_lab_is_shown_in_rgb() -> None:
    lab = PilImage.merge("LAB", [PilImage.linear_gradient("L").resize((20, 20))] * 3)
    assert from_pil(lab).pixels.shape == (20, 20, 3)


def test_pil_limit_is_put_back(tmp_path: Path, rgb: np.ndarray) -> None:
    before = PilImage.MAX_IMAGE_PIXELS
    save_and_read(tmp_path, PilImage.fromarray(rgb), "a.png")
    assert before == PilImage.MAX_IMAGE_PIXELS


def get_failure(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert str(path) in message and "\n" not in message and message.endswith(".")
    return message


@pytest.mark.parametrize(
    ("factor", "signed"),
    [(1e308, False), (1e308, True), (3.4e38, True), (1e-305, True), (1e-318, True)],
)
def test_values_at_the_ends_of_a_type_are_scaled(factor: float, signed: bool) -> None:
    """As the same values of ordinary size are; ±1.8e308 have no finite difference."""
    values = np.random.default_rng(0).integers(0, 1000, (20, 30)).astype(np.float64)
    values -= 500 if signed else 0
    values[0, 0] = 1001
    expected = from_array(values).pixels
    image = from_array(values / 1001 * factor)
    # Subnormal numbers have few digits: of 1e-318, five.
    np.testing.assert_allclose(image.pixels, expected, atol=1e-3 if factor < 1e-310 else 1e-6)
    assert image.window is not None and np.isfinite(image.window).all()
    windowed = from_array(values / 1001 * factor, window=(0.0, factor)).pixels
    np.testing.assert_allclose(windowed, np.clip(values / 1001, 0, 1), atol=1e-3)


def test_values_beyond_float64_are_refused() -> None:
    if np.finfo(np.longdouble).max <= np.finfo(np.float64).max:
        pytest.skip("long double is double here")
    values = np.arange(400).reshape(20, 20).astype(np.longdouble) * np.longdouble("1e4000")
    with pytest.raises(InputError, match="outside ±"):
        from_array(values)
