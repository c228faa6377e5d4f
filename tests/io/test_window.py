"""Windows: names, numbers, and what they do to pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.config import ConfigError
from s3net_jax.io import from_array, parse_window, read


def test_names_and_numbers() -> None:
    assert parse_window("auto") is None
    assert parse_window("soft") == (-160, 240)
    assert parse_window("-1000,400.5") == (-1000, 400.5)


@pytest.mark.parametrize("text", ["sofd", "1", "1,1", "2,1", "nan,1", "0,inf", "a,b", "", ","])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_window(text)


def test_values_outside_are_clipped() -> None:
    values = np.linspace(-2000, 2000, 100).reshape(10, 10)
    image = from_array(values, window=(-160.0, 240.0))
    np.testing.assert_allclose(image.pixels, np.clip((values + 160) / 400, 0, 1), atol=1e-6)
    assert image.window == (-160, 240)


def test_at_eight_bits_it_is_not_applied_and_a_note_is_given(tmp_path: Path) -> None:
    gradient = np.repeat(np.arange(64, dtype=np.uint8)[None], 16, 0)
    PilImage.fromarray(gradient).save(tmp_path / "a.png")
    image = read(tmp_path / "a.png", (0.0, 10.0))
    np.testing.assert_array_equal(image.pixels, gradient)
    assert "the window is ignored" in image.notes[0]
    PilImage.fromarray(gradient.astype(np.float32) - 20).save(tmp_path / "hu.tif")
    assert read(tmp_path / "hu.tif", (-20.0, 43.0)).pixels.max() == 1
