"""Images with ground truth: folders of pairs, and data sets as they are distributed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.config import ConfigError, nearest
from s3net_jax.io import InputError

__all__ = ["DATASETS", "Pair", "pairs_of"]

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".nii", ".nii.gz")
_MASK_ENDINGS = ("", "_mask", "_lesion", "_segmentation", "_Segmentation", "_seg", "_gt")


@dataclass(frozen=True)
class Pair:
    """An image and its ground truth."""

    stem: str
    image: Path
    truth: Path


def pairs_of(dataset: str, images: Path, masks: Path | None) -> list[Pair]:
    """The pairs of a data set, in the order of their names.

    Args:
      dataset: a name in :data:`DATASETS`.
      images: folder of the images; of a distributed data set the folder it was unpacked into.
      masks: folder of the masks, for ``folder``.

    Raises:
      ConfigError: an unknown data set, or ``folder`` without masks.
      InputError: something is missing; the sentence says what, and where it is obtained.
    """
    if dataset not in DATASETS:
        raise ConfigError(f"There is no data set {dataset!r}.{nearest(dataset, list(DATASETS))}")
    if dataset == "folder" and masks is None:
        raise ConfigError("Say where the ground truth is: --masks DIR.")
    if not images.is_dir():
        raise InputError(f"{images} is not a folder.")
    return DATASETS[dataset](images, masks)


def _folder(images: Path, masks: Path | None) -> list[Pair]:
    """Equal stems in two folders; masks may end in _mask, _lesion, _segmentation, _seg, _gt."""
    assert masks is not None
    if not masks.is_dir():
        raise InputError(f"{masks} is not a folder.")
    return _paired(_files(images), _files(masks), f"{images} and {masks}", "")


def _ph2(root: Path, masks: Path | None) -> list[Pair]:
    """PH²: ``IMD*/IMD*_Dermoscopic_Image/*.bmp`` and ``IMD*/IMD*_lesion/*.bmp``."""
    source = "PH² is obtained from https://www.fc.up.pt/addi/ph2%20database.html"
    images = sorted(root.glob("**/IMD*_Dermoscopic_Image/IMD*.bmp"))
    truths = sorted(root.glob("**/IMD*_lesion/IMD*_lesion.bmp"))
    return _paired(images, truths, f"{root}", source, 200)


def _lung_ct(root: Path, masks: Path | None) -> list[Pair]:
    """The Kaggle lung set: ``2d_images`` and ``2d_masks`` (TIFF in HU), or ``3d_images`` with
    ``IMG_*`` and ``MASK_*`` (NIfTI)."""
    source = (
        "the set is obtained from https://www.kaggle.com/datasets/kmader/finding-lungs-in-ct-data"
    )
    flat = sorted(root.glob("**/2d_images/*.tif"))
    if flat:
        return _paired(flat, sorted(root.glob("**/2d_masks/*.tif")), f"{root}", source)
    images = sorted(root.glob("**/IMG_*.nii*"))
    truths = {re.sub("^MASK", "IMG", _stem(p)): p for p in sorted(root.glob("**/MASK_*.nii*"))}
    return _joined(images, truths, f"{root}", source)


def _isic(root: Path, masks: Path | None) -> list[Pair]:
    """ISIC 2016, 2017, 2018: ``ISIC_*.jpg`` and ``ISIC_*_segmentation.png``, in any folders."""
    source = "ISIC's data are obtained from https://challenge.isic-archive.com/data/"
    images = [p for p in sorted(root.glob("**/ISIC_*.jpg")) if "_superpixels" not in p.name]
    truths = sorted(root.glob("**/ISIC_*_[sS]egmentation.png"))
    return _paired(images, truths, f"{root}", source)


DATASETS: dict[str, Callable[[Path, Path | None], list[Pair]]] = {
    "folder": _folder,
    "ph2": _ph2,
    "lung-ct": _lung_ct,
    "isic": _isic,
}


def _files(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.iterdir()
        if p.name.lower().endswith(_SUFFIXES) and not p.name.startswith(".")
    )


def _stem(path: Path) -> str:
    return re.sub(r"\.nii(\.gz)?$|\.[^.]+$", "", path.name)


def _paired(
    images: list[Path], truths: list[Path], place: str, source: str, expected: int = 0
) -> list[Pair]:
    by_stem: dict[str, Path] = {}
    for path in truths:
        stem = _stem(path)
        for ending in _MASK_ENDINGS:
            if stem.endswith(ending):
                by_stem.setdefault(stem[: len(stem) - len(ending)], path)
    return _joined(images, by_stem, place, source, expected)


def _joined(
    images: list[Path], truths: dict[str, Path], place: str, source: str, expected: int = 0
) -> list[Pair]:
    where = f"; {source}" if source else ""
    if not images:
        raise InputError(f"{place} holds no image of this data set{where}.")
    missing = [path.name for path in images if _stem(path) not in truths]
    if missing:
        named = ", ".join(missing[:3]) + (" and more" if len(missing) > 3 else "")
        raise InputError(
            f"{place} holds no ground truth for {len(missing)} of {len(images)} images "
            f"({named}){where}."
        )
    if len(images) < expected:
        raise InputError(
            f"{place} holds {len(images)} of the {expected} images of this data set{where}."
        )
    return [Pair(_stem(path), path, truths[_stem(path)]) for path in images]
