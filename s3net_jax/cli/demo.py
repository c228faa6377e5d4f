"""The picture that ``s3net demo`` segments; it comes with scikit-image."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import OutputError
from s3net_jax.io import make_folder, write_picture
from s3net_jax.io.regular import read_regular
from s3net_jax.run.output.log import ResultLog

__all__ = ["DESCRIPTION", "write_demo_picture"]

_NAME = "glands.png"
DESCRIPTION = (
    "colonic glands, stained brown for the protein FHL2 on blue-stained tissue (from "
    "scikit-image; Center for Microscopy and Molecular Imaging, no known copyright restrictions)."
)


def write_demo_picture(out: str | Path) -> Path:
    """Writes the picture into ``out`` and returns its path.

    Raises:
      OutputError: ``out`` can't be written, or holds another picture of that name, or results of
        anything but a demo.
    """
    from skimage import data

    folder = make_folder(out)
    path, pixels = folder / _NAME, data.immunohistochemistry()
    known = _holds(path, pixels)
    if os.path.lexists(path) and not known:
        raise _elsewhere(f"{path} exists and is not the demo's picture")
    log = ResultLog(folder / "results.jsonl")
    inputs = {os.path.abspath(str(record.get("input"))) for record in log.records()}
    if inputs - {os.path.abspath(path)}:
        raise _elsewhere(f"{out} holds results of other pictures")
    if not inputs:  # nothing, unless a demo was killed before its result was there
        ours = log.unfinished | ({"run.json"} if known else set())
        for other in (folder / "run.json", *sorted(folder.glob(f"{path.stem}.*"))):
            if other != path and os.path.lexists(other) and other.name not in ours:
                raise _elsewhere(f"{other} exists and is not of a demo")
    if not known:
        write_picture(path, PilImage.fromarray(pixels))
    return path


def _holds(path: Path, pixels: np.ndarray) -> bool:
    try:
        with PilImage.open(io.BytesIO(read_regular(path)), formats=("PNG",)) as picture:
            return picture.size == pixels.shape[1::-1] and np.array_equal(
                np.asarray(picture), pixels
            )
    except Exception:  # decoders raise whatever they like on other data
        return False


def _elsewhere(reason: str) -> OutputError:
    return OutputError(f"{reason}: choose another output folder with --out.")
