"""The network's input: resampling, aspect, channel order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3net_jax.config import InputConfig
from s3net_jax.io import compute_prepared_shape, from_array, prepare
from s3net_jax.io.resize import resize_antialias, resize_opencv

# cv2.resize(x, (4, 3) and (9, 8), interpolation=cv2.INTER_CUBIC), OpenCV 4.12 and 5.0.
SOURCE = (np.arange(5 * 7).reshape(5, 7) * 37 % 251).astype(np.uint8)
SMALLER = [[13, 82, 144, 213], [27, 96, 158, 227], [41, 110, 172, 131]]
LARGER = [
    [0, 20, 53, 83, 110, 137, 167, 200, 224],
    [0, 24, 57, 87, 114, 141, 171, 204, 227],
    [6, 30, 63, 93, 120, 147, 177, 209, 233],
    [11, 34, 67, 97, 124, 151, 181, 214, 238],
    [16, 40, 73, 103, 130, 157, 186, 224, 255],
    [21, 45, 77, 107, 134, 161, 190, 227, 255],
    [27, 50, 83, 113, 140, 167, 212, 185, 101],
    [30, 54, 87, 117, 144, 171, 229, 147, 0],
]


def test_opencv_values() -> None:
    np.testing.assert_array_equal(resize_opencv(SOURCE, (3, 4)), SMALLER)
    np.testing.assert_array_equal(resize_opencv(SOURCE, (8, 9)), LARGER)


def test_opencv_agrees_with_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    random = np.random.default_rng(0)
    for shape, size in (((60, 41), (32, 32)), ((16, 20), (50, 33)), ((31, 31), (30, 30))):
        image = random.random((*shape, 3), np.float32)
        expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(resize_opencv(image, size), expected, atol=2e-6)


@given(
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.floats(0, 1, width=32),
)
def test_resampling_keeps_constants_and_flips(shape, size, value: float) -> None:
    flat = np.full(shape, value, np.float32)
    image = np.random.default_rng(1).random(shape, np.float32)
    for resize in (resize_antialias, resize_opencv):
        np.testing.assert_allclose(resize(flat, size), value, atol=1e-6)
        np.testing.assert_allclose(
            resize(image[::-1, ::-1].copy(), size), resize(image, size)[::-1, ::-1], atol=1e-5
        )


def test_antialias_averages_a_chessboard() -> None:
    board = (np.indices((64, 64)).sum(0) % 2).astype(np.float32)
    np.testing.assert_allclose(resize_antialias(board, (8, 8))[2:-2, 2:-2], 0.5, atol=0.02)


@pytest.mark.parametrize("resize", ["antialias", "opencv"])
@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 3), (32, 32, 3)])
def test_prepared_range_and_shape(resize: str, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    for image in (random.integers(0, 256, shape).astype(np.uint8), random.random(shape)):
        config = InputConfig(size=32, resize=resize)  # pyright: ignore[reportArgumentType]
        pixels = prepare(from_array(image), config)
        assert pixels.shape == (32, 32, 3) and pixels.dtype == np.float32
        assert pixels.min() >= 0 and pixels.max() <= 1 and pixels.flags.c_contiguous


def test_own_size_is_kept_and_bgr_is_reversed() -> None:
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    for resize in ("antialias", "opencv"):
        rgb = prepare(from_array(image), InputConfig(size=32, resize=resize))
        np.testing.assert_array_equal(rgb, image / np.float32(255))
        bgr = prepare(from_array(image), InputConfig(size=32, resize=resize, channel_order="bgr"))
        np.testing.assert_array_equal(bgr, rgb[..., ::-1])


@given(st.integers(8, 3000), st.integers(8, 3000), st.integers(16, 512))
def test_kept_aspect(height: int, width: int, size: int) -> None:
    h, w = compute_prepared_shape((height, width), InputConfig(size=size, aspect="keep"))
    assert max(h, w) == size and min(h, w) >= 16
    if min(h, w) > 16:
        # In whole numbers: a side of 8 pixels more or less than its share is allowed exactly.
        longer = max(height, width)
        assert abs(h * longer - height * size) <= 8 * longer
