"""Measure the candidates of every development image, and score the masks of two presets."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage

import s3net_jax
from benchmarks.choice.weights import Example
from benchmarks.confidence.images import Sample, name_sample, read_maps, read_truth
from s3net_jax.evaluate import dsc
from s3net_jax.io import read
from s3net_jax.masks import draw_best_proposal, find_candidates, rank_candidates
from s3net_jax.presets import preset

__all__ = ["PRESETS", "draw_masks", "find_examples"]

PRESETS = ("best", "robust")  # with the same fits
_DRAWN = ("choice", "boundary", "segments")
_CODE = ("surround", "background", "traits", "proposals", "vignette", "cleanup", "shapes", "auto")


def find_examples(
    samples: list[Sample], folder: Path, say: Callable[[str], None]
) -> list[tuple[Sample, Example]]:
    """Measure the candidates of every image whose label maps are in ``folder``.

    Measures are kept there, for the present code of candidates and traits.
    """
    place = folder / f"traits-{_digest_code()}"
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for sample in samples:
        path = place / f"{name_sample(sample)}.npz"
        if not path.exists():
            _measure(sample, folder, path)
            say(f"measured {path.name}")
        with np.load(path) as content:
            found.append((sample, Example(sample.data, content["traits"], content["dsc"])))
    return found


def _measure(sample: Sample, folder: Path, path: Path) -> None:
    image, truth = read(sample.image), read_truth(sample)
    candidates = find_candidates(_read_flat(sample, folder), image.rgb8(), preset("robust").segment)
    assert candidates is not None
    height, width = candidates.image.shape[:2]
    picture = PilImage.fromarray(truth.astype(np.uint8) * np.uint8(255))
    small = np.asarray(picture.resize((width, height), PilImage.Resampling.BOX)) > 127
    scores = np.array([dsc(mask, small) / 100 for mask in candidates.masks])
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.savez_compressed(file, traits=candidates.traits, dsc=scores)
    os.replace(part, path)


def draw_masks(sample: Sample, folder: Path) -> dict[str, Any]:
    """Draw the masks of both presets from the same label maps, and score them.

    Scores are kept in ``folder``, for the present code of masks.

    Returns:
      The DSC in [0, 1] of each preset, and the name of the image.
    """
    path = folder / f"masks-{_digest_code(*_DRAWN)}" / f"{name_sample(sample)}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(json.dumps(_draw_masks(sample, folder)))
        os.replace(part, path)
    return json.loads(path.read_text())


def _draw_masks(sample: Sample, folder: Path) -> dict[str, Any]:
    image, truth = read(sample.image), read_truth(sample)
    maps = _read_flat(sample, folder)
    row: dict[str, Any] = {
        "data": sample.data,
        "stem": sample.image.stem,
        "reported": sample.is_reported,
    }
    labels = [np.zeros(image.shape, np.int32)] * len(maps)  # only the mask is needed
    for name in PRESETS:
        config = preset(name).segment
        ranking = rank_candidates(maps, image.rgb8(), config)
        segments, _ = draw_best_proposal(ranking, labels, image, config)
        row[name] = round(dsc(segments.mask, truth) / 100, 4)
    return row


def _read_flat(sample: Sample, folder: Path) -> list[np.ndarray]:
    maps = read_maps(folder, preset("best"), sample)
    assert maps is not None
    return list(maps.steps.reshape(-1, *maps.steps.shape[2:]).astype(np.int32))


def _digest_code(*more: str) -> str:
    root = Path(s3net_jax.__file__).parent / "masks"
    digest = hashlib.sha256()
    for name in (*_CODE, *more):
        digest.update((root / f"{name}.py").read_bytes())
    return digest.hexdigest()[:12]
