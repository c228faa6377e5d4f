"""Overlays: readable for any shape, and the outline is where the target is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ImageDraw

from s3net_jax.io.colors import OUTLINE
from s3net_jax.report import draw_overlay


@pytest.mark.parametrize(
    "shape", [(256, 256), (60, 400), (400, 60), (8, 8), (1500, 1000), (32, 9000)]
)
@pytest.mark.parametrize("clusters", [1, 4, 64])
def test_any_shape_and_count(shape: tuple[int, int], clusters: int) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (*shape, 3)).astype(np.uint8)
    labels = np.sort(random.integers(0, clusters, shape), axis=1)
    picture = draw_overlay(
        image, labels, labels == clusters - 1, "a name\nthat is far too long " * 9
    )
    assert picture.mode == "RGB" and 600 < picture.width < 1500 and picture.height < 520


def test_the_outline_follows_the_target() -> None:
    image = np.full((220, 220, 3), 90, np.uint8)
    labels = np.zeros((220, 220), int)
    labels[50:150, 60:160] = 1
    picture = np.asarray(draw_overlay(image, labels, labels == 1))
    rows, columns = np.nonzero((np.abs(picture.astype(int) - OUTLINE) < 30).all(-1))
    panel = columns.min() - 60 * 2, rows.min() - 50 * 2
    assert columns.max() - columns.min() == pytest.approx(200, abs=8)
    assert rows.max() - rows.min() == pytest.approx(200, abs=8)
    assert panel[0] > 2 * 440, "in the third panel only"


def test_a_missing_target_is_stated_not_drawn() -> None:
    image = np.full((40, 40, 3), 90, np.uint8)
    picture = np.asarray(
        draw_overlay(image, np.zeros((40, 40), int), np.zeros((40, 40), bool), "é∂")
    )
    assert not (np.abs(picture.astype(int) - OUTLINE) < 30).all(-1).any()


def test_a_slice_names_the_clusters_that_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a volume's nine clusters two: not nine, of which seven have "<1 %"."""
    said: list[str] = []
    draw = ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw,
        "text",
        lambda *args, **more: said.append(args[2]) or draw(*args, **more),
    )
    labels = np.full((40, 40), 2)
    labels[:10] = 8
    draw_overlay(np.full((40, 40, 3), 90, np.uint8), labels, labels == 8)
    assert [text for text in said if "cluster" in text] == ["2 clusters"]
    assert [text for text in said if text.endswith(" %")] == ["75 %", "25 %"]
