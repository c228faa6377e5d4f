"""Score the results of all fitted images, and write ``docs/quality/confidence.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.confidence.images import SETS, SKIN, Sample, name_sample, read_maps, read_truth
from benchmarks.confidence.statistics import fit_weights, summarize
from s3net_jax.evaluate import dsc
from s3net_jax.io import read
from s3net_jax.masks import (
    CHECK_BELOW,
    EVIDENCE,
    draw_best_proposal,
    expect_dsc,
    rank_proposals,
)
from s3net_jax.presets import preset
from s3net_jax.provenance import collect_versions, find_commit
from s3net_jax.run import assess_members

__all__ = ["RESULT", "choose_weights", "make_summaries", "write_report"]

RESULT = Path(__file__).parents[2] / "docs/quality/confidence.json"


_ROWS = "measures.jsonl"


def measure_samples(samples: Sequence[Sample], folder: Path, say: Callable[[str], None]) -> None:
    """Measure every image whose label maps are in ``folder``, and add it to ``measures.jsonl``.

    Images that are in the file already are skipped: delete it if a measure has changed.
    """
    known = _read_rows(folder)
    for sample in samples:
        key = name_sample(sample)
        row = None if key in known else _score(sample, folder)
        if row is not None:
            with open(folder / _ROWS, "a") as file:
                file.write(json.dumps(row) + "\n")
            say(key)


def _read_rows(folder: Path) -> dict[str, dict[str, Any]]:
    """Read ``measures.jsonl``: name of the sample → its row."""
    path = folder / _ROWS
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    return {f"{row['data']}-{row['stem']}": row for row in rows}


def write_report(samples: Sequence[Sample], folder: Path) -> None:
    """Score every image whose label maps are in ``folder``, and write the result file.

    The file has a row for each image, the figures of both halves, and the weights that the first
    half gives, to be copied into ``s3net_jax/masks/confidence/estimate.py``.
    """
    known = _read_rows(folder)
    found = [known[key] for sample in samples if (key := name_sample(sample)) in known]
    rows = [_estimate(row) for row in found]
    rows.sort(key=lambda row: (SETS.index(row["data"]), row["stem"]))
    content = {
        "title": "Confidence without ground truth",
        "preset": "best",
        "seed": 0,
        "check_below": CHECK_BELOW,
        "weights": choose_weights(rows),
        "summaries": make_summaries(rows),
        "rows": rows,
        "versions": collect_versions(),
        "commit": find_commit(),
    }
    RESULT.write_text(json.dumps(content, indent=1) + "\n")


def _score(sample: Sample, folder: Path) -> dict[str, Any] | None:
    """Make the result of one image from its label maps, as a run does; None without maps."""
    maps = read_maps(folder, sample)
    if maps is None:
        return None
    config, image = preset("best"), read(sample.image)
    members = [member for member in range(len(maps)) for _ in range(maps.shape[1])]
    flat = list(maps.reshape(-1, *maps.shape[2:]).astype(np.int32))
    labels = [np.zeros(image.shape, np.int32)] * len(flat)  # only the mask is needed
    ranking = rank_proposals(flat, image.rgb8(), config.segment)
    segments, _ = draw_best_proposal(ranking, labels, image, config.segment)
    found = assess_members(ranking, segments.mask, members, config)
    assert found is not None
    return {
        "data": sample.data,
        "stem": sample.image.stem,
        "reported": sample.is_reported,
        "dsc": round(dsc(segments.mask, read_truth(sample)) / 100, 4),
        **found.to_record(),
    }


def _estimate(row: dict[str, Any]) -> dict[str, Any]:
    """Compute the expected DSC with the constants of today from the measures of a row."""
    evidence = {name: row["evidence"][name] for name in EVIDENCE if row["evidence"]}
    expected = round(expect_dsc(evidence), 4) if evidence else 0.0
    return {
        **row,
        "expected_dsc": expected,
        "check": expected < CHECK_BELOW,
        "evidence": evidence,
    }


def choose_weights(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Fit the weights on the half of the images that is not reported; three decimals."""
    chosen = [row for row in rows if not row["reported"] and row["evidence"]]
    measures = np.array([[row["evidence"][name] for name in EVIDENCE] for row in chosen])
    found = fit_weights(measures, np.array([row["dsc"] for row in chosen]))
    names = ("constant", *EVIDENCE)
    return {name: round(float(value), 3) for name, value in zip(names, found, strict=True)}


def make_summaries(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Summarize the reported half for each data set, skin and together, and the other half.

    Ultrasound and polyps fail so clearly that they raise the figures of all sets together; those of
    skin show how well bad masks are found within one domain.
    """
    reported = [row for row in rows if row["reported"]]
    sets = {name: [row for row in reported if row["data"] == name] for name in SETS}
    parts = {name: found for name, found in sets.items() if found}
    parts["skin, together"] = [row for row in reported if row["data"] in SKIN]
    parts["together"] = reported
    parts["together, half of the choice"] = [row for row in rows if not row["reported"]]
    return {name: summarize(found, CHECK_BELOW) for name, found in parts.items()}
