"""The weights of traits are those that make the best candidates win."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.choice.report import RESULT, summarize
from benchmarks.choice.weights import Example, compute_expected_dsc, fit_weights
from s3net_jax.masks import TRAITS


def make_examples(count: int = 12, seed: int = 0) -> list[Example]:
    """Make candidates whose DSC follows the first trait, and others that are noise."""
    random = np.random.default_rng(seed)
    examples = []
    for number in range(count):
        traits = random.normal(size=(random.integers(3, 30), len(TRAITS)))
        dsc = 1 / (1 + np.exp(-2 * traits[:, 0]))
        examples.append(Example("ab"[number % 3 == 0], traits, dsc))
    return examples


def test_expected_dsc_is_that_of_a_slow_sum_and_its_gradient() -> None:
    examples = make_examples()
    weights = np.random.default_rng(1).normal(size=len(TRAITS))
    value, gradient = compute_expected_dsc(weights, examples)
    means: dict[str, list[float]] = {"a": [], "b": []}
    for example in examples:
        chance = np.exp(example.traits @ weights)
        means[example.data].append(float(chance / chance.sum() @ example.dsc))
    assert value == pytest.approx(np.mean([np.mean(found) for found in means.values()]), rel=1e-12)
    for n in range(len(weights)):
        step = np.zeros_like(weights)
        step[n] = 1e-6
        up, down = (compute_expected_dsc(weights + s, examples)[0] for s in (step, -step))
        assert gradient[n] == pytest.approx((up - down) / 2e-6, abs=1e-8)


def test_weights_choose_the_best_candidate_and_predict_its_dsc() -> None:
    weights = fit_weights(make_examples(60))
    assert tuple(weights) == ("constant", *TRAITS)
    strongest = max(TRAITS, key=lambda name: abs(weights[name]))
    assert strongest == TRAITS[0] and weights[TRAITS[0]] > 0
    direct = np.array([weights[name] for name in TRAITS])
    for example in make_examples(10, seed=5):
        scores = 1 / (1 + np.exp(-(weights["constant"] + example.traits @ direct)))
        assert example.dsc[scores.argmax()] > example.dsc.max() - 0.1
        assert abs(scores.max() - example.dsc.max()) < 0.2


def test_summaries_are_those_of_the_rows() -> None:
    content = json.loads(RESULT.read_text())
    rows = content["rows"]
    assert content["summaries"]["reported"] == summarize(rows, True)
    assert content["summaries"]["chosen on"] == summarize(rows, False)
    skin = [row for row in rows if row["data"] == "ph2" and row["reported"]]
    found = content["summaries"]["reported"]["ph2"]
    assert found["images"] == len(skin)
    assert found["robust"] == pytest.approx(np.mean([row["robust"] for row in skin]), abs=1e-4)
    worst = sorted(row["best"] for row in skin)[: round(len(skin) / 10)]
    assert found["best_worst_tenth"] == pytest.approx(np.mean(worst), abs=1e-4)
