"""Synthetic pictures and volumes for the examples: nothing to download, and no licence to check."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

__all__ = ["draw_ct_volume", "draw_lesion"]


def draw_lesion(seed: int = 0, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """Draw a dark lesion on skin, with shading, texture and hairs.

    Args:
      seed: random seed; decides place, outline, colours and hairs.
      size: side of the picture in pixels.

    Returns:
      The picture, (size, size, 3) uint8, and the true mask, (size, size) bool.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size - 0.5
    row, column = random.uniform(-0.06, 0.06, 2)
    angle = np.arctan2(y - row, x - column)
    radius = random.uniform(0.17, 0.26)
    # Waves of two to six bumps make an outline that is irregular, and still star-shaped.
    outline = radius * (
        1
        + sum(
            random.uniform(0, 0.16 / k) * np.cos(k * angle + random.uniform(0, 7))
            for k in range(2, 7)
        )
    )
    distance = np.hypot(y - row, x - column) - outline
    mask = distance < 0

    skin = np.array([218, 172, 152]) + random.uniform(-14, 14, 3)
    lesion = skin * random.uniform([0.42, 0.32, 0.28], [0.62, 0.5, 0.46])
    inside = 1 / (1 + np.exp(distance * 90))[..., None]  # a rim about 5 % of the side wide
    blotches = ndimage.gaussian_filter(random.normal(size=(size, size)), size / 22)
    blotches *= 0.10 / blotches.std()
    picture = skin + inside * (lesion * (1 + blotches[..., None]) - skin)

    grain = ndimage.gaussian_filter(random.normal(size=(size, size)), 1.2)
    shading = 1 + 0.10 * (x * random.uniform(-1, 1) + y * random.uniform(-1, 1))
    picture = picture * (shading + 0.02 * grain / grain.std())[..., None]
    for _ in range(random.integers(3, 8)):
        _draw_hair(picture, random)
    return picture.clip(0, 255).astype(np.uint8), mask


def _draw_hair(picture: np.ndarray, random: np.random.Generator) -> None:
    """Darken the pixels along one bent line, in place."""
    size = len(picture)
    t = np.linspace(0, 1, 4 * size)
    start, end, bend = random.uniform(0, size, 2), random.uniform(0, size, 2), random.normal(size=2)
    points = start + t[:, None] * (end - start) + np.sin(np.pi * t)[:, None] * bend * size / 12
    rows, columns = points.round().astype(int).T
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    hair = np.zeros((size, size))
    hair[rows[inside], columns[inside]] = 1
    picture *= 1 - 0.45 * ndimage.gaussian_filter(hair, 0.7)[..., None].clip(0, 1)


def draw_ct_volume(
    slices: int = 12, size: int = 160, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float]]:
    """Draw a chest as a CT scanner shows it: air, fat, soft tissue, two lungs, a spine.

    Args:
      slices: number of axial slices.
      size: side of a slice in pixels.
      seed: random seed of the noise.

    Returns:
      Hounsfield units, (slices, size, size) int16; the mask of the lungs, of the same shape, bool;
      and the spacing of slices, rows and columns in millimetres.
    """
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(
        np.linspace(-0.8, 0.8, slices), *[np.linspace(-1, 1, size)] * 2, indexing="ij"
    )

    def ellipsoid(center: tuple[float, float, float], radii: tuple[float, float, float]):
        terms = [((axis - c) / r) ** 2 for axis, c, r in zip((z, y, x), center, radii, strict=True)]
        return np.sum(terms, axis=0) < 1

    values = np.full(z.shape, -1000.0)
    values[(y / 0.72) ** 2 + (x / 0.92) ** 2 < 1] = -100  # fat
    values[(y / 0.64) ** 2 + (x / 0.84) ** 2 < 1] = 40  # muscle
    lungs = ellipsoid((0, -0.02, -0.42), (1.1, 0.46, 0.29))
    lungs |= ellipsoid((0, -0.02, 0.42), (1.1, 0.46, 0.29))
    lungs &= ~ellipsoid((0.2, -0.12, 0.12), (0.6, 0.26, 0.3))  # the heart
    values[lungs] = -850
    vessels = ndimage.gaussian_filter(random.normal(size=z.shape), (1, 2, 2))
    values[lungs & (vessels > 2.3 * vessels.std())] = -300
    values[(y - 0.48) ** 2 + x**2 < 0.1**2] = 500  # the spine
    values = ndimage.gaussian_filter(values, (0, 0.8, 0.8)) + random.normal(0, 25, z.shape)
    return values.round().astype(np.int16), lungs, (5.0, 320 / size, 320 / size)
