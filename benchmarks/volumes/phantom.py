"""Draw a CT-like volume with known lungs, and an MR-like one with a known organ."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["Phantom", "draw_organ", "draw_phantom"]


class Phantom(NamedTuple):
    """A volume and its target.

    Attributes:
      values: (slices, side, side) int16.
      truth: bool of the same shape, the lungs or the organ.
    """

    values: np.ndarray
    truth: np.ndarray


def draw_phantom(slices: int = 300, side: int = 512, seed: int = 0) -> Phantom:
    """Draw a trunk in Hounsfield units: abdomen below (slice 0), chest above.

    A body of fat (−100 HU) with a core of soft tissue (40), a spine (400), a liver (100), two lungs
    (−820) with vessels (40), gas in the bowel (−900), a table (−50), and air (−1000) around, with
    noise (standard deviation 30).

    Args:
      slices: number of slices, at least 8.
      side: side of a slice in pixels, at least 32.
      seed: seed of the noise and the vessels.
    """
    random = np.random.default_rng(seed)
    values = np.empty((slices, side, side), np.int16)
    lungs = np.zeros(values.shape, bool)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    vessels = [(*random.uniform((-0.7, -0.7), (0.7, 0.7)), random.uniform(0.03, 0.08), lung)
               for lung in (-1, 1) for _ in range(8)]  # fmt: skip
    for n in range(slices):
        z = 2 * n / (slices - 1) - 1  # −1 at the bottom, 1 at the top
        width = 0.8 + 0.06 * z
        body = _ellipse(x, y, 0, 0.05, width, 0.6)
        picture = np.where(body, -100, -1000).astype(np.float32)
        picture[_ellipse(x, y, 0, 0.05, width - 0.07, 0.53)] = 40
        picture[_ellipse(x, y, -0.35, 0, 0.35, 0.35 * _round(z, -0.35, 0.4))] = 100
        gas = _round(z, -0.6, 0.25)
        picture[_ellipse(x, y, 0.3, -0.2, 0.12 * gas, 0.1 * gas)] = -900
        for side_of in (-1, 1):
            size = _round(z, 0.4, 0.55)
            middle = 0.4 * side_of
            lung = _ellipse(x, y, middle, 0.02, 0.26 * size, 0.4 * size)
            picture[lung] = -820
            lungs[n] |= lung
            for across, down, radius, one in vessels:
                if one == side_of and size:
                    place = middle + 0.26 * size * across, 0.02 + 0.4 * size * down
                    picture[lung & _ellipse(x, y, *place, radius * size, radius * size)] = 40
        picture[_ellipse(x, y, 0, 0.45, 0.1, 0.1)] = 400
        picture[(np.abs(x) < 0.7) & (np.abs(y - 0.75) < 0.03)] = -50
        noise = random.normal(0, 30, picture.shape)
        values[n] = np.clip(picture + noise, -1024, 3000).round()
    return Phantom(values, lungs)


def draw_organ(slices: int = 40, side: int = 128, seed: int = 0) -> Phantom:
    """Draw an abdomen of an MR image with a small bright organ beside the middle.

    Fat (105) around soft tissue (140), a liver (158), a spine (190), the organ (230), which covers
    0.5 % of the volume, and air (3) around, with noise (standard deviation 5).

    Args:
      slices: number of slices, at least 8.
      side: side of a slice in pixels, at least 32.
      seed: seed of the noise.
    """
    random = np.random.default_rng(seed)
    values = np.empty((slices, side, side), np.int16)
    organ = np.zeros(values.shape, bool)
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j].astype(np.float32)
    for n in range(slices):
        z = 2 * n / (slices - 1) - 1
        picture = np.where(_ellipse(x, y, 0, 0, 0.85, 0.63), 105, 3).astype(np.float32)
        picture[_ellipse(x, y, 0, 0, 0.76, 0.53)] = 140
        liver = _round(z, 0.2, 1.0)
        picture[_ellipse(x, y, -0.4, -0.1, 0.3 * liver, 0.33 * liver)] = 158
        picture[_ellipse(x, y, 0, 0.42, 0.1, 0.1)] = 190
        size = _round(z, 0, 0.45)
        organ[n] = _ellipse(x, y, -0.35, 0.15, 0.13 * size, 0.16 * size)
        picture[organ[n]] = 230
        values[n] = np.clip(picture + random.normal(0, 5, picture.shape), 0, 255).round()
    return Phantom(values, organ)


def _ellipse(
    x: np.ndarray, y: np.ndarray, left: float, top: float, width: float, height: float
) -> np.ndarray:
    """Return the pixels of an ellipse with the given centre and half axes; none if one is 0."""
    if min(width, height) <= 0:
        return np.zeros(x.shape, bool)
    return ((x - left) / width) ** 2 + ((y - top) / height) ** 2 < 1


def _round(z: float, middle: float, half: float) -> float:
    """Return the radius, in [0, 1], of a ball of radius ``half`` around ``middle`` at height z."""
    return float(np.sqrt(max(0.0, 1 - ((z - middle) / half) ** 2)))
