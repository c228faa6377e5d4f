"""Read experiment files of ``s3net ablate`` and ``s3net compare``: methods × data sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from s3net_jax.baselines import BASELINES, REGION_BASELINES, Prediction, get_baseline
from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, suggest_nearest
from s3net_jax.evaluate import DATASETS
from s3net_jax.experiments.data import DataSet, read_data
from s3net_jax.experiments.fields import (
    Fields,
    check_folder_name,
    check_seeds,
    check_targets,
    check_unique,
    load_fields,
)
from s3net_jax.presets import preset

__all__ = ["KINDS", "Grid", "Method", "check_kind", "read_grid", "read_preset"]

KINDS = {"ablation": "ablate", "comparison": "compare", "tuning": "tune"}
"""Kind of an experiment file → command that runs it."""

Paper = Mapping[str, Mapping[str, float]]
"""Data set → metric → value printed in the paper."""


@dataclass(frozen=True, eq=False)
class Method:
    """A row of the tables.

    Attributes:
      name: name in tables.
      paper: values that the paper reports for the method.
      config: configuration of its fits; None for baselines and for methods that only the paper has.
      seeds: number of fits of each image, whose consensus is the result.
      predict: for a baseline, function that segments an image (H, W, 3) uint8; otherwise None.
    """

    name: str
    paper: Paper
    config: Config | None = None
    seeds: int = 1
    predict: Callable[[np.ndarray], Prediction] | None = None

    @property
    def folder(self) -> str:
        """Folder name derived from :attr:`name`."""
        return re.sub(r"[^\w.=]+", "-", self.name).strip("-.") or "method"


@dataclass(frozen=True, eq=False)
class Grid:
    """Methods × data sets.

    Attributes:
      kind: ``ablation`` or ``comparison``.
      title: title of one line.
      methods: rows of the tables, in order.
      data: data sets to evaluate on.
      reference: name of the method that all others are compared with, paired by image.
      seed: first seed of every image.
      repeats: number of evaluations of each method, with different seeds. The figures of an image
        are the means over its evaluations.
    """

    kind: str
    title: str
    methods: tuple[Method, ...]
    data: tuple[DataSet, ...]
    reference: str
    seed: int = 0
    repeats: int = 1

    def list_seeds(self, method: Method) -> list[int]:
        """Return the first seed of each evaluation of a method; no two share a seed."""
        return [self.seed + number * method.seeds for number in range(self.repeats)]


def check_kind(fields: Fields, wanted: str) -> None:
    """Raise :class:`ConfigError` unless the file is of the kind ``wanted``."""
    kind = fields.get_text("kind")
    if kind not in KINDS:
        fields.fail(f"kind is {kind!r}.{suggest_nearest(kind, list(KINDS))}")
    if kind != wanted:
        fields.fail(f"this file is for another command: run s3net {KINDS[kind]} {fields.place}.")


def read_grid(
    path: Path,
    kind: str,
    *,
    overrides: Mapping[str, object] | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    repeats: int | None = None,
) -> Grid:
    """Read an experiment file.

    Args:
      path: path of a TOML file, in the format of ``docs/experiments.md``.
      kind: ``ablation`` or ``comparison``.
      overrides: changes to the configuration of every fit, applied after those of the file; see
        :meth:`Config.replace`.
      seed, seeds: first seed and number of seeds; None uses those of the file. A method with its
        own number of seeds keeps it.
      repeats: number of evaluations of each method; None uses that of the file.

    Raises:
      ConfigError: if the file is invalid; the message says what is wrong and where.
    """
    fields = load_fields(path)
    check_kind(fields, kind)
    title = fields.get_text("title")
    own_seed, own_seeds = fields.get_count("seed", 0, low=0), fields.get_count("seeds", 1)
    seed = own_seed if seed is None else seed
    seeds = own_seeds if seeds is None else seeds
    own_repeats = fields.get_count("repeats", 1)
    repeats = own_repeats if repeats is None else repeats
    data = read_data(fields)
    base = read_preset(fields, fields.get_text("preset")) if kind == "ablation" else None
    base = None if base is None else fields.apply("set", base)
    key = "variants" if kind == "ablation" else "methods"
    methods = []
    for entry in fields.get_tables(key):
        method = _read_method(entry, base, seeds, data)
        entry.finish()
        check_folder_name(method.folder, entry)
        if method.config is not None and overrides:
            method = replace(method, config=check_targets(method.config.replace(**overrides)))
        methods.append(method)
    check_seeds(fields, seed, repeats * max(method.seeds for method in methods))
    check_unique([method.name for method in methods], fields, key)
    check_unique([method.folder.casefold() for method in methods], fields, f"folders of {key}")
    for method in methods:
        if method.config is not None and method.name in {**BASELINES, **REGION_BASELINES}:
            fields.fail(f"{method.name!r} is the name of a baseline: choose another name.")
    computed = [m.name for m in methods if m.config is not None or m.predict is not None]
    if not computed:
        fields.fail(f"none of the {key} can be computed: give at least one a preset.")
    reference = fields.get_text("reference", computed[0])
    if reference not in computed:
        fields.fail(
            f"the reference {reference!r} is not a method.{suggest_nearest(reference, computed)}"
        )
    fields.finish()
    return Grid(kind, title, tuple(methods), data, reference, seed, repeats)


def read_preset(fields: Fields, name: str) -> Config:
    """Read a preset by name; raise :class:`ConfigError` with the position in the file."""
    try:
        return preset(name)
    except ConfigError as error:
        fields.fail(str(error))


def _read_method(
    fields: Fields, base: Config | None, seeds: int, data: Sequence[DataSet]
) -> Method:
    paper = _read_paper(fields, data)
    if base is not None:
        return Method(fields.get_text("name"), paper, fields.apply("set", base), seeds)
    if fields.has("preset") and fields.has("baseline"):
        fields.fail("a method can't have both a preset and a baseline: remove one.")
    if fields.has("baseline"):
        name = fields.get_text("baseline")
        clusters = fields.get_count("clusters") if fields.has("clusters") else None
        try:
            predict = get_baseline(name, clusters)
        except ConfigError as error:
            fields.fail(str(error))
        shown = name if clusters is None else f"{name}, K={clusters}"
        return Method(shown, paper, predict=predict)
    if fields.has("preset"):
        name = fields.get_text("preset")
        config = fields.apply("set", read_preset(fields, name))
        own = fields.get_count("seeds", seeds)
        shown = name if config.method.name != "s3net" else f"s3net {name}"
        shown += f", {own} seeds" if fields.has("seeds") else ""
        return Method(fields.get_text("name", shown), paper, config, own)
    if not paper:
        fields.fail("a method needs a preset, a baseline or values of the paper.")
    return Method(fields.get_text("name"), paper)


def _read_paper(fields: Fields, data: Sequence[DataSet]) -> Paper:
    tables = fields.get_table("paper")
    known = {item.name: list(DATASETS[item.dataset].criteria.metrics) for item in data}
    found = {}
    for name in tables.get_names():
        if name not in known:
            tables.fail(f"there is no data set {name!r}.{suggest_nearest(name, sorted(known))}")
        figures = tables.get_table(name)
        for metric in figures.get_names():
            if metric not in known[name]:
                figures.fail(
                    f"there is no metric {metric!r}.{suggest_nearest(metric, known[name])}"
                )
        found[name] = {metric: figures.get_number(metric) for metric in figures.get_names()}
    return found
