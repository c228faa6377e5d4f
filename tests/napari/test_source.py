"""What of a layer is segmented: pictures, slices, channels, volumes."""

from __future__ import annotations

import numpy as np
import pytest

from s3net_jax import InputError
from s3net_jax.napari import LayerImage, Use, cut_layer, list_uses

VALUES = np.random.default_rng(0).integers(0, 4000, (5, 12, 16)).astype(np.uint16)


def describe(values: np.ndarray, is_color: bool = False, **more: object) -> LayerImage:
    shape = values.shape[:-1] if is_color else values.shape
    options: dict[str, object] = {"step": tuple(side // 2 for side in shape), **more}
    return LayerImage("scan", values, is_color, **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("shape", "is_color", "uses"),
    [
        ((12,), False, []),
        ((12, 16), False, ["image"]),
        ((12, 16), True, ["image"]),
        ((3, 12, 16), False, ["channels", "volume", "slice"]),
        ((40, 12, 16), False, ["volume", "slice", "channels"]),
        ((3, 12, 16), True, ["volume", "slice"]),
        ((4, 40, 12, 16), False, ["volume", "slice"]),
    ],
)
def test_uses_follow_from_the_shape(
    shape: tuple[int, ...], is_color: bool, uses: list[Use]
) -> None:
    assert list_uses(shape, is_color) == uses


def test_a_slice_is_the_one_that_is_shown() -> None:
    cut = cut_layer(describe(VALUES, pixel_size=(2.0, 0.5, 0.25)), "slice")
    assert np.array_equal(cut.values, VALUES[2]) and cut.leading == (2,)
    assert cut.pixel_size == (0.5, 0.25) and not cut.is_volume
    part = np.arange(12 * 16).reshape(12, 16)
    assert cut.expand(part).shape == (1, 12, 16)
    assert np.array_equal(cut.shrink(cut.expand(part)), part)


def test_a_volume_has_the_last_three_axes() -> None:
    series = np.stack([VALUES, VALUES + 1])
    sizes = (np.nan, 2.0, 0.5, 0.25)  # time is no length
    cut = cut_layer(describe(series, step=(1, 0, 0, 0), pixel_size=sizes), "volume")
    assert np.array_equal(cut.values, series[1]) and cut.leading == (1,)
    assert cut.pixel_size == (2.0, 0.5, 0.25) and cut.is_volume


def test_unknown_lengths_give_no_pixel_size() -> None:
    cut = cut_layer(describe(VALUES[0], pixel_size=(np.nan, 0.5)), "image")
    assert cut.pixel_size is None


def test_channels_are_scaled_separately() -> None:
    dim = np.stack([VALUES[0], VALUES[1] // 100])
    cut = cut_layer(describe(dim), "channels")
    assert cut.values.shape == (12, 16, 3) and cut.leading == ()
    for channel in (0, 1):
        assert cut.values[..., channel].min() == 0 and cut.values[..., channel].max() == 1
    assert not cut.values[..., 2].any()
    colors = VALUES[:3].astype(np.uint8)
    assert np.array_equal(
        cut_layer(describe(colors), "channels").values, np.moveaxis(colors, 0, -1)
    )


def test_colours_of_floats_lose_what_pictures_cannot_have() -> None:
    colors = np.random.default_rng(0).random((4, 12, 16, 4))
    picture = cut_layer(describe(colors[0], True), "image").values
    assert picture.dtype == np.uint8 and picture.shape == (12, 16, 4)
    assert np.array_equal(picture, np.round(np.float32(colors[0]) * 255))
    assert cut_layer(describe(colors, True), "volume").values.shape == (4, 12, 16, 3)
    assert cut_layer(describe(colors[0, ..., :3], True), "image").values.dtype == np.float64


def test_impossible_uses_are_refused() -> None:
    with pytest.raises(InputError, match="scan has 12×16 pixels and can't be segmented as volume"):
        cut_layer(describe(VALUES[0]), "volume")
    with pytest.raises(InputError, match="has 5 channels, and a picture has at most 3"):
        cut_layer(describe(VALUES), "channels")
    with pytest.raises(InputError, match="it needs rows and columns"):
        cut_layer(describe(VALUES[0, 0]), "image")
