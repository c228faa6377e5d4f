"""Ground truths on the grids of their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.evaluate.datasets import Pair
from s3net_jax.evaluate.geometry import Grid
from s3net_jax.evaluate.truth import check_all, read_grid, read_truth
from s3net_jax.io import InputError, write_stack

TRUTH = np.zeros((12, 16), bool)
TRUTH[2:5, 3:9] = True


def test_pictures_that_exif_turns(tmp_path: Path) -> None:
    """Image and ground truth lie as they are shown, whichever of the two is turned."""
    exif = PilImage.Exif()
    exif[0x0112] = 6  # shown turned clockwise
    plain, turned = (tmp_path / f"{name}.png" for name in ("plain", "turned"))
    picture = PilImage.fromarray(TRUTH.astype(np.uint8) * 255)
    picture.save(plain)
    picture.save(turned, exif=exif)
    for path, shape in ((plain, (12, 16)), (turned, (16, 12))):
        grid = read_grid(Pair("x", path, path))
        assert grid is not None and grid.shape == shape
        assert read_truth(path, grid).shape == shape
    np.testing.assert_array_equal(read_truth(turned, None), np.rot90(TRUTH, -1))
    with pytest.raises(InputError) as raised:
        read_truth(turned, Grid((12, 16)))
    assert str(raised.value).endswith(
        "is a picture of 12×16 pixels, but its image is a picture of 16×12 pixels: sizes must be "
        "equal."
    )
    assert read_grid(Pair("x", tmp_path / "missing.png", plain)) is None


def test_stacks_in_colour(tmp_path: Path) -> None:
    """The largest of the channels counts, as in a picture."""
    pages = np.zeros((3, 12, 16, 3), np.uint8)
    pages[0, ..., 0], pages[1, ..., 1], pages[2, ..., 2] = (TRUTH * 255,) * 3
    path = tmp_path / "m.tif"
    write_stack(path, pages)
    np.testing.assert_array_equal(read_truth(path, Grid((3, 12, 16))), [TRUTH] * 3)
    grid = read_grid(Pair("x", path, path, "stack"))
    assert grid is not None and grid.shape == (3, 12, 16) and grid.affine is None
    with pytest.raises(InputError, match="resample it to the image's grid"):
        read_truth(path, Grid((4, 12, 16)))


def test_each_problem_is_reported_once() -> None:
    def fail(words: str) -> None:
        raise InputError(words)

    check_all([lambda: None])
    with pytest.raises(InputError, match=r"^a\.$"):
        check_all([lambda: fail("a."), lambda: None, lambda: fail("a.")])
    with pytest.raises(InputError, match="2 inputs cannot be used"):
        check_all([lambda: fail("a."), lambda: fail("b."), lambda: fail("a.")])
