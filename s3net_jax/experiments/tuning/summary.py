"""From the scores of every image, setting and step to the best settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from s3net_jax.evaluate import PROTOCOLS, compare, mean_with_interval
from s3net_jax.experiments.summary import BLIND_FIRST
from s3net_jax.experiments.tuning.settings import Setting, configured, set_options
from s3net_jax.experiments.tuning.spec import Tuning
from s3net_jax.provenance import versions

__all__ = ["SHOWN", "summarise_tuning"]

SHOWN = 10
"""Settings in the table of the best."""

Records = Mapping[str, Sequence[Sequence[Mapping[str, Any]]]]
"""Image → seed → setting → a line of ``scores.jsonl``."""


def summarise_tuning(
    tuning: Tuning, settings: Sequence[Setting], done: Records, images: int
) -> dict[str, Any]:
    """What ``summary.json`` holds.

    Returns:
      ``base`` and ``best``: rows with ``setting``, ``steps``, ``options`` (what a user types),
      ``protocols`` (protocol → mean DSC, low, high over images), ``difference`` (blind, minus the
      base). ``base`` is the configuration as it was; ``best`` has each setting once, with the
      number of steps that is best for it, and at most :data:`SHOWN` of them.
      ``left_out``: mean blind DSC, low, high, of images whose setting and steps the other images
      have chosen: what the choice is worth on images that it has not seen. None of one image.
      ``means``: protocol → (settings, steps) means over images; ``curves``: of the base and the
      best setting, blind, after each step. ``effects``: what is varied → value → the highest
      mean among the settings with this value.
    """
    dsc = _array(done)
    blind = dsc["blind"]
    means = blind.mean(0)
    steps = np.array(tuning.steps)
    at = means.argmax(1)  # of equal ones the fewest steps
    ranked = sorted(range(len(settings)), key=lambda n: -means[n, at[n]])
    last = len(steps) - 1

    def row(setting: int, step: int) -> dict[str, Any]:
        apart = compare(blind[:, setting, step], blind[:, 0, last])
        config = configured(tuning.config, settings[setting], int(steps[step]))
        return {
            "setting": dict(settings[setting]),
            "steps": int(steps[step]),
            "options": set_options(config),
            "protocols": {
                name: vars(mean_with_interval(dsc[name][:, setting, step])) for name in BLIND_FIRST
            },
            "difference": {**vars(apart.difference), "p_value": apart.p_value},
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
        "base": row(0, last),
        "best": [row(n, int(at[n])) for n in ranked[:SHOWN]],
        "left_out": _left_out(blind),
        "curves": {"base": means[0].tolist(), "best": means[ranked[0]].tolist()},
        "effects": _effects(tuning, settings, means.max(1)),
        "means": {name: np.round(dsc[name].mean(0), 3).tolist() for name in BLIND_FIRST},
        "protocols": {name: PROTOCOLS[name] for name in BLIND_FIRST},
        "data": [item.name for item in tuning.data],
        "config": tuning.config.to_dict(),
        "versions": versions(),
    }


def _array(done: Records) -> dict[str, np.ndarray]:
    """Protocol → (images, settings, steps) DSC in percent, means over seeds."""
    return {
        name: np.array(
            [
                np.mean([[s["dsc"][name] for s in one] for one in seeds], 0)
                for seeds in done.values()
            ]
        )
        for name in PROTOCOLS
    }


def _left_out(blind: np.ndarray) -> dict[str, Any] | None:
    count = len(blind)
    if count < 2:
        return None
    found = []
    for n in range(count):
        others = np.delete(blind, n, 0).mean(0)
        found.append(blind[n].flat[int(others.argmax())])
    return vars(mean_with_interval(np.array(found)))


def _effects(
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
