"""List the development images, and fit each once to keep the label maps of every step."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import Config
from s3net_jax.io import Image, prepare, read
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.masks import compact_labels, compute_labels, consensus
from s3net_jax.run import make_key, segment_images

__all__ = [
    "SETS",
    "SKIN",
    "Maps",
    "Sample",
    "fit_maps",
    "list_samples",
    "name_sample",
    "read_maps",
    "read_truth",
    "write_maps",
]

SETS = ("ph2", "lung_ct", "isic2017", "isic2017_train", "ham10000", "busi", "kvasir_sessile")
"""Folders of the development images, each with ``images`` and ``masks``."""

SKIN = ("ph2", "isic2017", "isic2017_train", "ham10000")
"""Data sets of dermoscopy."""


@dataclass(frozen=True)
class Sample:
    """An image with ground truth.

    Attributes:
      data: name of its data set.
      image, truth: paths of the files, which have the same stem.
      is_reported: whether the image belongs to the half that figures are reported on; the constants
        are chosen on the other half.
    """

    data: str
    image: Path
    truth: Path
    is_reported: bool


def list_samples(folder: Path) -> list[Sample]:
    """List the images of all data sets in turn, so that every beginning of the list is a mixture.

    Every second image of the sorted list of a data set, the second, fourth and so on, is reported.

    Raises:
      FileNotFoundError: a data set is missing, or an image has no mask.
    """
    columns: list[list[Sample]] = []
    for data in SETS:
        images = sorted((folder / data / "images").iterdir())
        truths = {path.stem: path for path in (folder / data / "masks").iterdir()}
        missing = [path for path in images if path.stem not in truths]
        if missing:
            raise FileNotFoundError(f"{missing[0]} has no mask of the same name.")
        columns.append([Sample(data, p, truths[p.stem], n % 2 == 1) for n, p in enumerate(images)])
    return [sample for row in zip_longest(*columns) for sample in row if sample is not None]


def read_truth(sample: Sample) -> np.ndarray:
    """Read a mask: (H, W) bool."""
    with PilImage.open(sample.truth) as picture:
        return np.asarray(picture.convert("L")) > 127


class Maps(NamedTuple):
    """Label maps of the fits of one image.

    Attributes:
      steps: (members, steps, h, w) uint8 labels of every step at the network's size; no members if
        the configuration does not choose among them.
      clusters: (H, W) uint8 label map at the size of the image, the consensus of the members.
    """

    steps: np.ndarray
    clusters: np.ndarray


def fit_maps(image: Image, config: Config, seed: int = 0) -> Maps:
    """Fit all members of one result.

    Args:
      image: the image.
      config: configuration of the fits, such as ``preset("best")``.
      seed: seed of the result.
    """
    if config.input.tile:
        (found,) = segment_images([image], config, [seed])[0]
        clusters = found.labels if found.clusters is None else found.clusters
        return Maps(np.zeros((0, 0, 1, 1), np.uint8), clusters.astype(np.uint8))
    import jax

    from s3net_jax import fitting

    keep = config.segment.choice == "proposals"
    config = config.replace(fit={"record_labels": keep})
    members = config.fit.members
    pixels = prepare(image, config.input)
    with use_default_settings():
        keys = jax.numpy.stack([make_key(seed, member) for member in range(members)])
        images = jax.numpy.asarray(np.stack([pixels] * members))
        fits = fitting.fit_batch(keys, images, config, progress=lambda *_: None)
    final = [compact_labels(compute_labels(one, image.shape)) for one in np.asarray(fits.logits)]
    clusters = final[0] if members == 1 else consensus(final).labels
    steps = np.asarray(fits.label_maps) if keep else np.zeros((0, 0, *pixels.shape[:2]))
    return Maps(steps.astype(np.uint8), clusters.astype(np.uint8))


def write_maps(
    samples: Sequence[Sample], config: Config, folder: Path, say: Callable[[str], None]
) -> None:
    """Fit every image whose label maps are not in ``folder`` yet, and write them there."""
    for number, sample in enumerate(samples):
        path = _locate(folder, config, sample)
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        maps = fit_maps(read(sample.image), config)
        part = path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez_compressed(file, **maps._asdict())
        os.replace(part, path)
        say(f"{number + 1}/{len(samples)} {path.parent.name}/{path.name}")


def read_maps(folder: Path, config: Config, sample: Sample) -> Maps | None:
    """Read the label maps of an image, or return None if they have not been written."""
    path = _locate(folder, config, sample)
    if not path.exists():
        return None
    with np.load(path) as content:
        return Maps(content["steps"], content["clusters"])


def name_sample(sample: Sample) -> str:
    """Return a name that no other sample has."""
    return f"{sample.data}-{sample.image.stem}"


def _locate(folder: Path, config: Config, sample: Sample) -> Path:
    """Return the file of an image; label maps of another configuration have another folder."""
    return folder / f"{config.preset}-{config.digest[:12]}" / f"{name_sample(sample)}.npz"
