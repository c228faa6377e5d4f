"""The picture that ``s3net demo`` segments; it comes with scikit-image."""

from __future__ import annotations

from pathlib import Path

from PIL import Image as PilImage

from s3net_jax.io import make_folder, write_picture

__all__ = ["DESCRIPTION", "write_demo_picture"]

DESCRIPTION = (
    "colonic glands, stained brown for the protein FHL2 on blue-stained tissue (from "
    "scikit-image; Center for Microscopy and Molecular Imaging, no known copyright restrictions)."
)


def write_demo_picture(out: str | Path) -> Path:
    """Writes the picture into ``out`` and returns its path."""
    from skimage import data

    path = make_folder(out) / "glands.png"
    write_picture(path, PilImage.fromarray(data.immunohistochemistry()))
    return path
