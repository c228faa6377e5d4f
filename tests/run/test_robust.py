"""The preset ``robust`` finds the lesion of a drawn picture, whatever is drawn around it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw

import s3net_jax as s3

SIZES = (300, 512, 768, 1022)
_FINE = 1022  # side at which hair, rulers and charts are drawn; smaller pictures are resampled


def draw_skin(extra: str = "") -> tuple[PilImage.Image, np.ndarray]:
    """Draw a two-tone lesion on unevenly lit, noisy skin at 1022 pixels, and its true mask."""
    side = _FINE
    y, x = (np.mgrid[:side, :side] + 0.5) / side
    lesion = ((x - 0.56) / 0.13) ** 2 + ((y - 0.47) / 0.09) ** 2 < 1
    core = np.hypot(x - 0.53, y - 0.46) < 0.045
    light = 1 - 0.5 * ((x - 0.4) ** 2 + (y - 0.4) ** 2)
    shade = light * np.where(core, 0.45, np.where(lesion, 0.68, 1.0))
    noise = np.random.default_rng(0).normal(0, 3, (side, side, 1))
    pixels = np.clip(shade[..., None] * np.array([222, 172, 150]) + noise, 0, 255)
    picture = PilImage.fromarray(pixels.astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    if extra == "hair":
        random = np.random.default_rng(1)
        for _ in range(14):
            start, end = random.uniform(0, side, 2), random.uniform(0, side, 2)
            bend = (start + end) / 2 + random.normal(0, 60, 2)
            pen.line([tuple(start), tuple(bend), tuple(end)], (60, 45, 40), 6, "curve")
    if extra == "ruler":
        for n in range(24):
            length = 60 if n % 5 == 0 else 35
            pen.line([(80 + 36 * n, 940), (80 + 36 * n, 940 - length)], (40, 40, 45), 4)
    if extra == "chart":
        pen.ellipse([-60, 700, 190, 950], (40, 90, 190))
    if extra == "surround":
        away = np.hypot(x - 0.5, y - 0.5) > 0.54
        pixels = np.asarray(picture).copy()
        pixels[away] = (8, 7, 7)
        picture = PilImage.fromarray(pixels)
    return picture, lesion


def resample(
    picture: PilImage.Image, truth: np.ndarray, side: int
) -> tuple[np.ndarray, np.ndarray]:
    small = picture.resize((side, side), PilImage.Resampling.BOX)
    mask = PilImage.fromarray(truth.astype(np.uint8) * np.uint8(255))
    return np.asarray(small), np.asarray(mask.resize((side, side), PilImage.Resampling.BOX)) > 127


def compute_dsc(one: np.ndarray, two: np.ndarray) -> float:
    return 2 * (one & two).sum() / (one.sum() + two.sum())


@pytest.mark.parametrize(
    "extra",
    ["surround", *(pytest.param(n, marks=pytest.mark.slow) for n in ("hair", "ruler", "chart"))],
)
def test_what_is_drawn_around_a_lesion_does_not_matter(extra: str) -> None:
    image, truth = resample(*draw_skin(extra), 512)
    found = s3.segment(image, preset="robust", progress=False)
    assert compute_dsc(found.mask, truth) > 0.93


@pytest.mark.slow
def test_the_size_of_a_picture_and_its_frame_do_not_matter() -> None:
    picture, truth = draw_skin("surround")
    scores = {}
    for side in SIZES:
        image, small = resample(picture, truth, side)
        for line in (0, 2):
            framed = image.copy()
            if line:
                framed[:line] = framed[-line:] = framed[:, :line] = framed[:, -line:] = 255
            found = s3.segment(framed, preset="robust", progress=False)
            scores[side, line] = compute_dsc(found.mask, small)
    assert min(scores.values()) > 0.93
    assert max(scores.values()) - min(scores.values()) < 0.02
