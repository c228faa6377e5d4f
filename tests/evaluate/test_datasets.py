"""Data sets in the layouts in which they are distributed."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3net_jax.config import ConfigError
from s3net_jax.evaluate import find_pairs
from s3net_jax.io import InputError
from s3net_jax.run import discover


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_folders(tmp_path: Path) -> None:
    touch(tmp_path, "i/a.jpg", "i/b.png", "m/a_segmentation.png", "m/b.png", "i/notes.txt")
    pairs = find_pairs("folder", tmp_path / "i", tmp_path / "m")
    assert [(p.stem, p.truth.name) for p in pairs] == [("a", "a_segmentation.png"), ("b", "b.png")]
    touch(tmp_path, "i/c.png")
    with pytest.raises(InputError, match=r"no ground truth for 1 of 3 images \(c.png\)"):
        find_pairs("folder", tmp_path / "i", tmp_path / "m")
    with pytest.raises(ConfigError, match="--masks DIR"):
        find_pairs("folder", tmp_path / "i", None)
    with pytest.raises(ConfigError, match="x is not a folder"):
        find_pairs("folder", tmp_path / "x", tmp_path / "m")
    with pytest.raises(ConfigError, match="y is not a folder"):
        find_pairs("folder", tmp_path / "i", tmp_path / "y")
    with pytest.raises(ConfigError, match="into a separate folder"):
        find_pairs("folder", tmp_path / "i", tmp_path / "i" / "../i")
    touch(tmp_path, "d/1.dcm")
    with pytest.raises(ConfigError, match="convert them to NIfTI"):
        find_pairs("folder", tmp_path / "d", tmp_path / "m")
    with pytest.raises(ConfigError, match="Did you mean folder"):
        find_pairs("foldr", tmp_path / "i", None)


def test_equal_names(tmp_path: Path) -> None:
    """Images are called as ``s3net segment`` calls them, and none gets another one's mask."""
    touch(tmp_path, "i/a.png", "i/a.jpg", "i/b.png", "i/b.labels.png", "m/a.png", "m/b_mask.png")
    shared = find_pairs("folder", tmp_path / "i", tmp_path / "m")
    assert [(p.stem, p.truth.name) for p in shared] == [
        ("a-jpg", "a.png"),
        ("a-png", "a.png"),
        ("b", "b_mask.png"),
    ]
    assert [s.stem for s in discover([tmp_path / "i"])] == [p.stem for p in shared]
    assert [p.stem for p in find_pairs("folder", tmp_path / "i", tmp_path / "m", 1)] == ["a"]
    touch(tmp_path, "m/a.jpg")
    own = find_pairs("folder", tmp_path / "i", tmp_path / "m")
    assert [p.truth.name for p in own] == ["a.jpg", "a.png", "b_mask.png"]
    touch(tmp_path, "m/b_seg.png")
    with pytest.raises(InputError, match=r"several .* for 1 of 3 images \(.*b_mask.png and .*b_s"):
        find_pairs("folder", tmp_path / "i", tmp_path / "m")


def test_ph2(tmp_path: Path) -> None:
    for n in range(200):
        name = f"IMD{n:03d}"
        base = f"PH2 Dataset images/{name}/{name}"
        touch(tmp_path, f"{base}_Dermoscopic_Image/{name}.bmp", f"{base}_lesion/{name}_lesion.bmp")
    assert len(find_pairs("ph2", tmp_path, None)) == 200
    next(tmp_path.glob("**/IMD007_lesion.bmp")).unlink()
    with pytest.raises(InputError, match=r"1 of 200 images \(IMD007.bmp\); download PH² from"):
        find_pairs("ph2", tmp_path, None)
    next(tmp_path.glob("**/IMD007.bmp")).unlink()
    with pytest.raises(InputError, match="199 of the 200"):
        find_pairs("ph2", tmp_path, None)
    with pytest.raises(ConfigError, match="no image of this data set"):
        find_pairs("ph2", next(tmp_path.glob("**/IMD008_lesion")), None)


def test_lung_ct_and_isic(tmp_path: Path) -> None:
    flat, deep, isic = tmp_path / "2d", tmp_path / "3d", tmp_path / "isic"
    touch(flat, "2d_images/ID_0_Z_1.tif", "2d_masks/ID_0_Z_1.tif")
    touch(deep, "3d_images/IMG_0002.nii.gz", "3d_images/MASK_0002.nii.gz")
    touch(isic, "Data/ISIC_0001.jpg", "Data/ISIC_0001_superpixels.png")
    touch(isic, "GroundTruth/ISIC_0001_segmentation.png", "Data/ISIC_0002.jpg")
    touch(isic, "GroundTruth/ISIC_0002_Segmentation.png")
    assert [p.stem for p in find_pairs("lung-ct", flat, None)] == ["ID_0_Z_1"]
    (pair,) = find_pairs("lung-ct", deep, None)
    assert pair.truth.name == "MASK_0002.nii.gz"
    assert len(find_pairs("isic", isic, None)) == 2
