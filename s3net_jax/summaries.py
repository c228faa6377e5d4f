"""Types of ``summary.json`` for evaluations, experiments and searches; see ``schema.py``."""

# No "from __future__ import annotations": it hides NotRequired from TypedDict in Python 3.11.

from typing import Any, NotRequired, Required, TypedDict

from s3net_jax.conform import Count, Number, Seconds

__all__ = [
    "ComparisonRecord",
    "EvaluationSummary",
    "GridRow",
    "GridSummary",
    "MeanRecord",
    "MethodRecord",
    "TuningRow",
    "TuningSummary",
]


class MeanRecord(TypedDict):
    """Mean over images with its 95 % bootstrap interval."""

    mean: Number
    low: Number
    high: Number
    count: NotRequired[Count]


class ComparisonRecord(MeanRecord):
    """Mean difference over images, with the two-sided p-value of Wilcoxon's test."""

    p_value: Number


class MethodRecord(TypedDict):
    """One method of a summary; ``protocols`` maps protocol → metric → mean."""

    images: Count
    seconds: Seconds
    protocols: dict[str, dict[str, MeanRecord]]


class EvaluationSummary(TypedDict):
    """``summary.json`` of an evaluation.

    ``comparisons`` maps each method to the figure of ``reference`` minus that of the method: the
    blind DSC for masks, the covering for regions. ``training_seconds`` is the time of a training on
    all images, of which the seconds of each image include an equal share.
    """

    methods: dict[str, MethodRecord]
    reference: str
    comparisons: dict[str, ComparisonRecord]
    protocols: dict[str, str]
    config: dict[str, Any]
    config_digest: str
    seed: Count
    seeds: Count
    failed: Count
    failures: NotRequired[list[str]]
    training_seconds: NotRequired[Seconds]
    versions: dict[str, str]
    commit: NotRequired[str | None]


class GridRow(TypedDict, total=False):
    """One table row of an ablation or a comparison.

    ``paper`` maps metrics to published values; ``report`` is the folder of the evaluation, or
    null. The fields after it are present once the row has been computed; ``difference`` is null
    for the reference. With several evaluations of each method, ``report`` is the folder of the
    first, and ``by_seed`` maps first seeds to the blind DSC or the covering of that evaluation.
    """

    method: Required[str]
    paper: Required[dict[str, Number]]
    report: Required[str | None]
    images: Count
    seconds: Seconds
    protocols: dict[str, dict[str, MeanRecord]]
    difference: ComparisonRecord | None
    by_seed: dict[str, Number]


class _DoneRecord(TypedDict):
    done: Count
    of: Count


class _FitSettings(TypedDict):
    seeds: Count
    config: dict[str, Any]


class GridSummary(TypedDict):
    """``summary.json`` of an ablation or a comparison; ``data`` maps data sets to rows."""

    kind: str
    title: str
    reference: str
    seed: Count
    evaluations: _DoneRecord
    failed: Count
    protocols: dict[str, str]
    data: dict[str, list[GridRow]]
    methods: dict[str, _FitSettings]
    repeats: NotRequired[Count]
    versions: dict[str, str]
    commit: NotRequired[str | None]


class TuningRow(TypedDict):
    """One setting of a search.

    ``setting`` maps fields to values, ``options`` is the same as command-line options,
    ``protocols`` holds the mean DSC per protocol, and ``difference`` the blind DSC minus that of
    the base.
    """

    setting: dict[str, Number]
    steps: Count
    options: str
    protocols: dict[str, MeanRecord]
    difference: ComparisonRecord


class TuningSummary(TypedDict):
    """``summary.json`` of a search.

    ``base`` is the configuration before the search; ``best`` lists each setting once, with its
    best number of steps. ``left_out`` is the leave-one-out mean of the blind DSC: setting and
    steps of each image are chosen on the other images; null for one image. ``means`` (protocol →
    settings × steps) is written to ``table.csv`` instead of this file. ``curves`` are the mean
    blind DSC of the base and of the best setting after each step; ``effects`` maps each varied
    field → value → highest mean among the settings with this value.
    """

    kind: str
    title: str
    preset: str
    images: _DoneRecord
    settings: Count
    steps: list[Count]
    seed: Count
    seeds: Count
    base: TuningRow
    best: list[TuningRow]
    left_out: MeanRecord | None
    curves: dict[str, list[Number]]
    effects: dict[str, dict[str, Number]]
    means: NotRequired[dict[str, list[list[float]]]]
    protocols: dict[str, str]
    data: list[str]
    config: dict[str, Any]
    versions: dict[str, str]
    commit: NotRequired[str | None]
