"""TIFF stacks, in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.io import InputError, read_stack, write_stack
from s3net_jax.io.stack import is_stack


def save(path: Path, pages: list[np.ndarray]) -> None:
    pictures = [PilImage.fromarray(page) for page in pages]
    pictures[0].save(path, save_all=True, append_images=pictures[1:])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_pages_in_order(tmp_path: Path, dtype) -> None:
    pages = np.random.default_rng(0).integers(0, 200, (4, 9, 11)).astype(dtype)
    save(tmp_path / "a.tif", list(pages))
    assert is_stack(tmp_path / "a.tif")
    volume = read_stack(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.voxels, pages)
    assert volume.affine is None


def test_colours(tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 200, (3, 9, 11, 3)).astype(np.uint8)
    save(tmp_path / "a.tiff", list(pages))
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tiff").voxels, pages)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_written_and_read(tmp_path: Path, dtype) -> None:
    labels = np.random.default_rng(0).integers(0, 200, (3, 9, 11)).astype(dtype)
    write_stack(tmp_path / "a.tif", labels)
    np.testing.assert_array_equal(read_stack(tmp_path / "a.tif").voxels, labels)


def test_what_is_none(tmp_path: Path) -> None:
    page = np.zeros((9, 11), np.uint8)
    save(tmp_path / "one.tif", [page])
    save(tmp_path / "sizes.tif", [page, page[:5]])
    (tmp_path / "text.tif").write_text("no picture")
    for name in ("one.tif", "sizes.tif", "text.tif", "missing.tif"):
        assert not is_stack(tmp_path / name)


def test_broken_files_get_one_sentence(tmp_path: Path) -> None:
    save(tmp_path / "a.tif", [np.zeros((40, 40), np.uint8)] * 3)
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:2000])
    with pytest.raises(InputError, match="broken or cut off"):
        read_stack(tmp_path / "a.tif")
    nan = np.full((9, 9), np.nan, np.float32)
    save(tmp_path / "nan.tif", [nan, nan])
    with pytest.raises(InputError, match="NaN"):
        read_stack(tmp_path / "nan.tif")
