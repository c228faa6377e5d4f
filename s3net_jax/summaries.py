"""What ``summary.json`` of an evaluation, an experiment or a search holds; see ``schema.py``."""

# Without "from __future__ import annotations", which hides NotRequired from TypedDict in Python
# 3.11.

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
    """A mean over images with its bootstrap 95 % interval."""

    mean: Number
    low: Number
    high: Number
    count: NotRequired[Count]


class ComparisonRecord(MeanRecord):
    """A mean difference over images, with the two-sided p value of Wilcoxon's test."""

    p_value: Number


class MethodRecord(TypedDict):
    """One method in a summary: ``protocols`` holds protocol → metric → mean."""

    images: Count
    seconds: Seconds
    protocols: dict[str, dict[str, MeanRecord]]


class EvaluationSummary(TypedDict):
    """``summary.json`` of an evaluation.

    ``comparisons`` holds method → blind DSC of ``reference`` minus its own.
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
    versions: dict[str, str]
    commit: NotRequired[str | None]


class GridRow(TypedDict, total=False):
    """One row of a table of an ablation or a comparison.

    ``paper`` holds metric → figure; ``report`` is the evaluation's folder, or null. What follows
    is there if the row has been computed; ``difference`` is null for the reference itself.
    """

    method: Required[str]
    paper: Required[dict[str, Number]]
    report: Required[str | None]
    images: Count
    seconds: Seconds
    protocols: dict[str, dict[str, MeanRecord]]
    difference: ComparisonRecord | None


class _DoneRecord(TypedDict):
    done: Count
    of: Count


class _FitSettings(TypedDict):
    seeds: Count
    config: dict[str, Any]


class GridSummary(TypedDict):
    """``summary.json`` of an ablation or a comparison: ``data`` holds data set → rows."""

    kind: str
    title: str
    reference: str
    seed: Count
    evaluations: _DoneRecord
    failed: Count
    protocols: dict[str, str]
    data: dict[str, list[GridRow]]
    methods: dict[str, _FitSettings]
    versions: dict[str, str]
    commit: NotRequired[str | None]


class TuningRow(TypedDict):
    """One setting of a search: its numbers, what a user types for it, its mean DSC per protocol,
    and its blind DSC minus that of the base."""

    setting: dict[str, Number]
    steps: Count
    options: str
    protocols: dict[str, MeanRecord]
    difference: ComparisonRecord


class TuningSummary(TypedDict):
    """``summary.json`` of a search.

    ``base`` is the configuration before the search; ``best`` lists each setting once, with the
    number of steps that is best for it. ``left_out`` is the mean blind DSC of images whose setting
    and steps the other images have chosen; null for one image. ``means`` (protocol → settings ×
    steps) goes into ``table.csv`` instead of the file. ``curves`` are the blind means of the base
    and the best setting after each step; ``effects`` holds what is varied → value → the highest
    mean among the settings with this value.
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
