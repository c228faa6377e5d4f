"""Find the best settings from the scores of every image, setting and step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from s3net_jax.evaluate import PROTOCOLS, Mean, compare, estimate_mean
from s3net_jax.experiments.summary import BLIND_FIRST
from s3net_jax.experiments.tuning.settings import Setting, configure, format_options
from s3net_jax.experiments.tuning.spec import Tuning
from s3net_jax.provenance import collect_versions, find_commit
from s3net_jax.schema import MeanRecord, ScoreRecord, TuningRow, TuningSummary

__all__ = ["SHOWN", "summarise_tuning"]

SHOWN = 10
"""Number of settings in the table of the best."""

Records = Mapping[str, Sequence[Sequence[ScoreRecord]]]
"""Image → seed → setting → record of ``scores.jsonl``."""


def summarise_tuning(
    tuning: Tuning, settings: Sequence[Setting], done: Records, images: int
) -> TuningSummary:
    """Make the content of ``summary.json``; see :class:`TuningSummary`."""
    dsc = _stack_scores(done)
    blind = dsc["blind"]
    means = blind.mean(0)
    steps = np.array(tuning.steps)
    at = means.argmax(1)  # at a tie, the fewest steps
    ranked = sorted(range(len(settings)), key=lambda n: -means[n, at[n]])
    last = len(steps) - 1

    def make_row(setting: int, step: int) -> TuningRow:
        apart = compare(blind[:, setting, step], blind[:, 0, last])
        config = configure(tuning.config, settings[setting], int(steps[step]))
        return {
            "setting": dict(settings[setting]),
            "steps": int(steps[step]),
            "options": format_options(config),
            "protocols": {
                name: _record_mean(estimate_mean(dsc[name][:, setting, step]))
                for name in BLIND_FIRST
            },
            "difference": {**_record_mean(apart.difference), "p_value": apart.p_value},
        }

    return {
        "kind": "tuning",
        "title": tuning.title,
        "preset": tuning.config.preset,
        "images": {"done": len(done), "of": images},
        "settings": len(settings),
        "steps": [int(step) for step in steps],
        "seed": tuning.seed,
        "seeds": tuning.seeds,
        "base": make_row(0, last),
        "best": [make_row(n, int(at[n])) for n in ranked[:SHOWN]],
        "left_out": _score_left_out(blind),
        "curves": {"base": means[0].tolist(), "best": means[ranked[0]].tolist()},
        "effects": _find_effects(tuning, settings, means.max(1)),
        "means": {name: np.round(dsc[name].mean(0), 3).tolist() for name in BLIND_FIRST},
        "protocols": {name: PROTOCOLS[name] for name in BLIND_FIRST},
        "data": [item.name for item in tuning.data],
        "config": tuning.config.to_dict(),
        "versions": collect_versions(),
        "commit": find_commit(),
    }


def _stack_scores(done: Records) -> dict[str, np.ndarray]:
    """Stack scores: protocol → (images, settings, steps) DSC in percent, averaged over seeds."""
    return {
        name: np.array(
            [
                np.mean([[s["dsc"][name] for s in one] for one in seeds], 0)
                for seeds in done.values()
            ]
        )
        for name in PROTOCOLS
    }


def _score_left_out(blind: np.ndarray) -> MeanRecord | None:
    """Score each image by the setting chosen on the others; None for a single image.

    Unlike the mean of the best setting, this estimate is not inflated by the choice.
    """
    count = len(blind)
    if count < 2:
        return None
    found = []
    for n in range(count):
        others = np.delete(blind, n, 0).mean(0)
        found.append(blind[n].flat[int(others.argmax())])
    return _record_mean(estimate_mean(np.array(found)))


def _record_mean(found: Mean) -> MeanRecord:
    return {"mean": found.mean, "low": found.low, "high": found.high, "count": found.count}


def _find_effects(
    tuning: Tuning, settings: Sequence[Setting], highest: np.ndarray
) -> dict[str, dict[str, float]]:
    return {
        name: {
            f"{value:g}": float(
                max(h for s, h in zip(settings, highest, strict=True) if s[name] == value)
            )
            for value in sorted({setting[name] for setting in settings})
        }
        for name in tuning.values
    }
