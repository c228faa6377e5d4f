"""Measure masks after simulated clicks.

    python -m benchmarks.marks --data FOLDER --cache FOLDER

segments images with the preset ``best``, simulates clicks from ground truth, and writes
``docs/correct/marks.json``. FOLDER holds a folder for each data set, with ``images`` and ``masks``.
The result file has figures only. Segmented images are kept in the cache, which must be outside the
repository because the images may not be redistributed.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import s3net_jax as s3
from benchmarks.marks.candidates import CANDIDATES, PRODUCT
from benchmarks.marks.clicks import CLICKS, RULE, Sample, score_clicks
from s3net_jax.evaluate import Grid, Pair, find_pairs, read_truth
from s3net_jax.provenance import collect_versions, find_commit

__all__ = ["RESULT", "main"]

RESULT = Path(__file__).parents[2] / "docs/correct/marks.json"

# Images of the table: (number of images to skip by name, number of images). When the reach of marks
# and of their changes was limited, the polyps had been seen, of which there are no others, and so
# had the lesions that are skipped.
_SETS = {"kvasir_sessile": (0, 10), "ph2": (20, 10)}
# Images on which the solver and its constants were chosen: every n-th, so many. They are scored
# with their masks, and again with empty masks of lesions, of which `best` leaves little to correct.
_DEVELOPMENT = {"isic2017_train": (10, 6), "ham10000": (3, 4), "busi": (10, 4)}
_KEPT = ("busi",)


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the result file; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.marks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--cache", type=Path, required=True, help="folder of segmented images")
    args = parser.parse_args(arguments)
    args.cache.mkdir(parents=True, exist_ok=True)
    sets: dict[str, list[dict[str, Any]]] = {}
    for name, (skip, count) in _SETS.items():
        sets[name] = []
        for pair, sample in _load_samples(args, name, slice(skip, skip + count)):
            scores = score_clicks(sample, CANDIDATES[PRODUCT])
            clusters = len(np.unique(sample.clusters))
            sets[name].append({"image": pair.stem, "dsc": scores, "clusters": clusters})
            print(name, pair.stem, *scores, flush=True)
    samples = list(_load_development(args))
    emptied = [sample if is_kept else _empty(sample) for sample, is_kept in samples]
    development = {
        name: _score_candidates(part)
        for name, part in (("best", [sample for sample, _ in samples]), ("emptied", emptied))
    }
    config = s3.preset("best")
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": find_commit(),
        "versions": collect_versions(),
        "preset": config.preset,
        "config_digest": config.digest,
        "seed": 0,
        "rule": RULE,
        "clicks": list(range(CLICKS + 1)),
        "sets": sets,
        "development": {"images": len(samples), "dsc": development},
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(content, indent=1) + "\n")
    return 0


def _score_candidates(samples: list[Sample]) -> dict[str, list[float]]:
    """Return the mean DSC of every solver after 0 to 5 clicks."""
    result: dict[str, list[float]] = {}
    for name, solve in CANDIDATES.items():
        found = np.array([score_clicks(sample, solve) for sample in samples])
        result[name] = [round(float(value), 2) for value in found.mean(0)]
        print(name, *result[name], flush=True)
    return result


def _empty(sample: Sample) -> Sample:
    return sample._replace(mask=np.zeros_like(sample.mask))


def _load_development(args: argparse.Namespace) -> Iterator[tuple[Sample, bool]]:
    """Yield samples, and whether their masks are kept in both tables."""
    for name, (step, count) in _DEVELOPMENT.items():
        for _, sample in _load_samples(args, name, slice(0, step * count, step)):
            yield sample, name in _KEPT


def _load_samples(
    args: argparse.Namespace, name: str, chosen: slice
) -> Iterator[tuple[Pair, Sample]]:
    folder = args.data / name
    pairs = find_pairs("folder", folder / "images", folder / "masks")[chosen]
    for pair in pairs:
        path = args.cache / f"{name}__{pair.stem}.npz"
        if not path.exists():
            _segment(pair.image, path)
        with np.load(path) as kept:
            image, clusters, mask = kept["image"], kept["clusters"], kept["mask"]
        truth = read_truth(pair.truth, Grid(mask.shape))
        yield pair, Sample(image, clusters.astype(np.int32), mask, truth)


def _segment(image: Path, path: Path) -> None:
    found = s3.segment(image, preset="best", seed=0, progress=False)
    clusters = found.labels if found.clusters is None else found.clusters
    np.savez_compressed(path, image=found.image, clusters=clusters, mask=found.mask)


if __name__ == "__main__":
    sys.exit(main())
