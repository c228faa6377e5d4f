"""Tiny data sets in the two layouts of BSDS500, made of rectangles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PilImage
from scipy.io import savemat

__all__ = ["draw_scene", "save_arrays", "save_bsds500", "save_mat"]

COLORS = np.array([(200, 60, 50), (60, 180, 70), (50, 70, 200), (230, 220, 120)], np.uint8)


def draw_scene(seed: int, shape: tuple[int, int] = (40, 48)) -> tuple[np.ndarray, list[np.ndarray]]:
    """An image (H, W, 3) of four coloured rectangles, and three people's label maps from 1."""
    random = np.random.default_rng(seed)
    y, x = (int(random.integers(n // 4, 3 * n // 4)) for n in shape)
    four = np.ones(shape, np.uint16)
    four[:, x:] += 1
    four[y:] += 2
    two = (four > 2).astype(np.uint16) + 1
    moved = np.roll(four, 1, axis=1)
    noise = random.normal(0, 3, (*shape, 3))
    return (COLORS[four - 1] + noise).clip(0, 255).astype(np.uint8), [four, two, moved]


def save_mat(path: Path, maps: list[np.ndarray]) -> None:
    """A file as BSDS500 has them: a cell array of structures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(maps)), object)
    for n, labels in enumerate(maps):
        cells[0, n] = {"Segmentation": labels, "Boundaries": np.zeros(labels.shape, bool)}
    savemat(path, {"groundTruth": cells}, do_compression=True)


def save_bsds500(root: Path, parts: dict[str, str]) -> None:
    """``images`` and ``groundTruth`` as distributed: part → a letter for each image."""
    for part, names in parts.items():
        for n, name in enumerate(names):
            image, maps = draw_scene(n)
            path = root / f"images/{part}/{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            PilImage.fromarray(image).save(path, quality=95)
            save_mat(root / f"groundTruth/{part}/{name}.mat", maps)


def save_arrays(root: Path, names: str) -> None:
    """``images`` and ``groundtruth`` with arrays ``maps``."""
    for folder in ("images", "groundtruth"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for n, name in enumerate(names):
        image, maps = draw_scene(n)
        PilImage.fromarray(image).save(root / f"images/{name}.jpg", quality=95)
        np.savez_compressed(root / f"groundtruth/{name}.npz", maps=np.stack(maps))
