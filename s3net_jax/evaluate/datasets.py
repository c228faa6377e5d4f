"""Find images with ground truth: folders of pairs, and data sets as distributed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.criteria import REGIONS, TARGET, Criteria
from s3net_jax.errors import ConfigError, InputError, suggest_nearest
from s3net_jax.evaluate.annotations import ANNOTATION_SUFFIXES
from s3net_jax.run import SUFFIXES, Kind, discover

__all__ = ["DATASETS", "Layout", "Pair", "find_pairs"]

_MASK_ENDINGS = ("_mask", "_lesion", "_segmentation", "_Segmentation", "_seg", "_gt")
_NAMED = 10  # maximum number of files named in an error message


_Found = list[tuple[Path, Path]]
"""Pairs of image and ground truth."""


@dataclass(frozen=True)
class Pair:
    """An image and its ground truth.

    Attributes:
      stem: name of the image's results, the same as in ``s3net segment``.
      image, truth: paths of the files.
      kind: format of the image, which determines how it is read.
      criteria: what is measured: a mask of the target, or regions of the whole image.
    """

    stem: str
    image: Path
    truth: Path
    kind: Kind = "image"
    criteria: Criteria = TARGET


@dataclass(frozen=True)
class Layout:
    """How the files of a data set are arranged.

    Attributes:
      find: function of the folders of images and masks that finds the pairs.
      criteria: what is measured on this data set.
    """

    find: Callable[[Path, Path | None], _Found]
    criteria: Criteria = TARGET


def find_pairs(
    dataset: str, images: Path, masks: Path | None, limit: int | None = None
) -> list[Pair]:
    """Find the pairs of a data set, sorted by name.

    Args:
      dataset: name in :data:`DATASETS`.
      images: folder of the images; for a distributed data set, the folder it was unpacked into.
      masks: folder of the masks; required for the data set ``folder``.
      limit: maximum number of pairs; None for all.

    Raises:
      ConfigError: if the data set is unknown, ``folder`` is used without masks, or a folder does
        not exist or contains no image.
      InputError: if an image has no ground truth or several; the message names the files and where
        to obtain the data set.
    """
    if dataset not in DATASETS:
        raise ConfigError(
            f"There is no data set {dataset!r}.{suggest_nearest(dataset, list(DATASETS))}"
        )
    if dataset == "folder" and masks is None:
        raise ConfigError("The data set folder needs ground truth: give --masks DIR.")
    for folder in (images, masks if dataset == "folder" else None):
        if folder is not None and not os.path.isdir(folder):  # False for any odd name
            raise ConfigError(f"{folder} is not a folder.")
    layout = DATASETS[dataset]
    return _name_pairs(layout.find(images, masks)[:limit], layout.criteria)


def _name_pairs(found: _Found, criteria: Criteria) -> list[Pair]:
    """Name each pair after its result, as ``s3net segment`` does."""
    truths = dict(found)
    sources = discover(truths)
    return [Pair(s.stem, s.path, truths[s.path], s.kind, criteria) for s in sources]


def _find_folder(images: Path, masks: Path | None) -> _Found:
    """Match stems in two folders; masks may end in _mask, _lesion, _segmentation, _seg, _gt."""
    assert masks is not None
    if images.resolve() == masks.resolve():
        raise ConfigError(
            f"--images and --masks are both {images}: put the masks into a separate folder."
        )
    sources = [source for source in discover([images]) if source.problem is None]
    if not sources:
        raise ConfigError(f"{images} contains no image.")
    if any(source.kind == "dicom" for source in sources):
        raise ConfigError(
            f"{images} contains DICOM files, which cannot be evaluated: convert them to NIfTI."
        )
    truths = sorted(
        path
        for path in masks.iterdir()
        if path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")
    )
    return _match_stems(sorted(s.path for s in sources), truths, f"{masks}", "")


def _find_ph2(root: Path, masks: Path | None) -> _Found:
    """Find PH²: ``IMD*/IMD*_Dermoscopic_Image/*.bmp`` and ``IMD*/IMD*_lesion/*.bmp``."""
    source = "download PH² from https://www.fc.up.pt/addi/ph2%20database.html"
    images = sorted(root.glob("**/IMD*_Dermoscopic_Image/IMD*.bmp"))
    truths = sorted(root.glob("**/IMD*_lesion/IMD*_lesion.bmp"))
    return _match_stems(images, truths, f"{root}", source, 200)


def _find_lung_ct(root: Path, masks: Path | None) -> _Found:
    """Find the Kaggle lung set: ``2d_images`` and ``2d_masks`` (TIFF in HU), or ``3d_images`` with
    ``IMG_*`` and ``MASK_*`` (NIfTI)."""
    source = "download it from https://www.kaggle.com/datasets/kmader/finding-lungs-in-ct-data"
    flat = sorted(root.glob("**/2d_images/*.tif"))
    if flat:
        return _match_stems(flat, sorted(root.glob("**/2d_masks/*.tif")), f"{root}", source)
    images = sorted(root.glob("**/IMG_*.nii*"))
    truths: dict[str, list[Path]] = {}
    for path in sorted(root.glob("**/MASK_*.nii*")):
        truths.setdefault(re.sub("^MASK", "IMG", _get_stem(path)), []).append(path)
    return _join_truths(images, truths, f"{root}", source)


def _find_isic(root: Path, masks: Path | None) -> _Found:
    """Find ISIC 2016, 2017, 2018: ``ISIC_*.jpg`` and ``ISIC_*_segmentation.png``, in any folder."""
    source = "download ISIC from https://challenge.isic-archive.com/data/"
    images = [p for p in sorted(root.glob("**/ISIC_*.jpg")) if "_superpixels" not in p.name]
    truths = sorted(root.glob("**/ISIC_*_[sS]egmentation.png"))
    return _match_stems(images, truths, f"{root}", source)


def _find_bsds500(root: Path, masks: Path | None) -> _Found:
    """Find BSDS500: ``images/{train,val,test}/*.jpg`` and ``groundTruth/{train,val,test}/*.mat``.

    ``root`` may be any folder above the images, or that of one part, such as ``images/test``. The
    ground truth of an image has its path with ``groundTruth`` (or ``groundtruth``) in place of the
    last ``images``, and the suffix ``.mat`` or ``.npz``; the parts may be missing.
    """
    source = (
        "download BSDS500 from "
        "https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html"
    )
    paths = (p if "images" in p.parts else p.absolute() for p in root.glob("**/*.jpg"))
    images = sorted(path for path in paths if "images" in path.parts)
    # The archive also contains five images for testing its benchmark, outside of the parts.
    images = [path for path in images if path.parent.name in _PARTS] or images
    truths = {image.stem: list(_list_annotations(image)) for image in images}
    return _join_truths(images, truths, f"{root}", source)


_PARTS = ("train", "val", "test")


def _list_annotations(image: Path) -> Iterator[Path]:
    """Yield the files beside the last folder ``images`` that may be the image's ground truth."""
    place = len(image.parts) - 1 - image.parts[::-1].index("images")
    for name in ("groundTruth", "groundtruth"):
        folder = Path(*image.parts[:place], name, *image.parent.parts[place + 1 :])
        found = [folder / f"{image.stem}{suffix}" for suffix in ANNOTATION_SUFFIXES]
        found = [path for path in found if path.is_file()]
        if found:  # a file system that ignores case would find each file twice
            yield from found
            return


DATASETS: dict[str, Layout] = {
    "folder": Layout(_find_folder),
    "ph2": Layout(_find_ph2),
    "lung-ct": Layout(_find_lung_ct),
    "isic": Layout(_find_isic),
    "bsds500": Layout(_find_bsds500, REGIONS),
}
"""Name → layout of each data set."""


def _get_stem(path: Path) -> str:
    return re.sub(r"\.nii(\.gz)?$|\.[^.]+$", "", path.name)


def _match_stems(
    images: list[Path], truths: list[Path], place: str, source: str, expected: int = 0
) -> _Found:
    """Match equal stems, or else the stem with an ending of :data:`_MASK_ENDINGS`."""
    equal: dict[str, list[Path]] = {}
    longer: dict[str, list[Path]] = {}
    for path in truths:
        stem = _get_stem(path)
        equal.setdefault(stem, []).append(path)
        for ending in _MASK_ENDINGS:
            if stem.endswith(ending):
                longer.setdefault(stem.removesuffix(ending), []).append(path)
    return _join_truths(images, {**longer, **equal}, place, source, expected)


def _join_truths(
    images: list[Path], truths: dict[str, list[Path]], place: str, source: str, expected: int = 0
) -> _Found:
    where = f"; {source}" if source else ""
    if not images:
        raise ConfigError(f"{place} contains no image of this data set{where}.")
    found = {path: _choose_closest(path, truths.get(_get_stem(path), [])) for path in images}
    missing = [path.name for path, fitting in found.items() if not fitting]
    if missing:
        raise InputError(
            f"{place} contains no ground truth for {len(missing)} of {len(images)} images "
            f"({_join_names(missing)}){where}."
        )
    several = [fitting for fitting in found.values() if len(fitting) > 1]
    if several:
        raise InputError(
            f"{place} contains several ground truths for {len(several)} of {len(images)} images "
            f"({_join_names([f'{a} and {b}' for a, b, *_ in several])}): keep one for each image."
        )
    if len(images) < expected:
        raise InputError(
            f"{place} contains {len(images)} of the {expected} images of this data set{where}."
        )
    return [(path, fitting[0]) for path, fitting in found.items()]


def _choose_closest(image: Path, truths: list[Path]) -> list[Path]:
    """Prefer masks with the full file name of the image: ``a.png`` and ``a.jpg`` may both exist."""
    return [path for path in truths if path.name == image.name] or truths


def _join_names(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
