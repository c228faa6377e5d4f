"""Experiment files of ``s3net ablate`` and ``s3net compare``: methods × data sets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from s3net_jax.baselines import BASELINES, Prediction, get_baseline
from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, suggest_nearest
from s3net_jax.evaluate import METRICS
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
"""What a file calls itself → the command that runs it."""

Paper = Mapping[str, Mapping[str, float]]
"""Data set → metric → the paper's figure."""


@dataclass(frozen=True, eq=False)
class Method:
    """A row of the tables.

    Attributes:
      name: in tables.
      paper: figures that the paper gives for it.
      config: of a fit; None of a baseline, and of a method that only the paper has figures of.
      seeds: fits of every image, whose consensus is the result.
      predict: of a baseline, what makes clusters and a mask of an image (H, W, 3) uint8.
    """

    name: str
    paper: Paper
    config: Config | None = None
    seeds: int = 1
    predict: Callable[[np.ndarray], Prediction] | None = None

    @property
    def folder(self) -> str:
        """A file name made of :attr:`name`."""
        return re.sub(r"[^\w.=]+", "-", self.name).strip("-.") or "method"


@dataclass(frozen=True, eq=False)
class Grid:
    """Methods × data sets.

    Attributes:
      kind: ``ablation`` or ``comparison``.
      title: one line.
      methods: rows, in the order of the tables.
      data: the data sets.
      reference: name of the method that every other is compared with, image by image.
      seed: the first seed of every image.
    """

    kind: str
    title: str
    methods: tuple[Method, ...]
    data: tuple[DataSet, ...]
    reference: str
    seed: int = 0


def check_kind(fields: Fields, wanted: str) -> None:
    """Raise :class:`ConfigError` unless the file is for this command."""
    kind = fields.get_text("kind")
    if kind not in KINDS:
        fields.fail(f"kind is {kind!r}.{suggest_nearest(kind, list(KINDS))}")
    if kind != wanted:
        fields.fail(f"this is for another command: s3net {KINDS[kind]} {fields.place}.")


def read_grid(
    path: Path,
    kind: str,
    *,
    overrides: Mapping[str, object] | None = None,
    seed: int | None = None,
    seeds: int | None = None,
) -> Grid:
    """Read the experiment in a file.

    Args:
      path: a TOML file, as ``docs/experiments.md`` describes it.
      kind: ``ablation`` or ``comparison``.
      overrides: of every fit, on top of what the file says; see :meth:`Config.replace`.
      seed, seeds: in place of the file's own. A method that says how many seeds it has, keeps
        them.

    Raises:
      ConfigError: something in the file is wrong; the sentence says what and where.
    """
    fields = load_fields(path)
    check_kind(fields, kind)
    title = fields.get_text("title")
    own_seed, own_seeds = fields.get_count("seed", 0, low=0), fields.get_count("seeds", 1)
    seed = own_seed if seed is None else seed
    seeds = own_seeds if seeds is None else seeds
    data = read_data(fields)
    base = read_preset(fields, fields.get_text("preset")) if kind == "ablation" else None
    base = None if base is None else fields.apply("set", base)
    key = "variants" if kind == "ablation" else "methods"
    methods = []
    for entry in fields.get_tables(key):
        method = _read_method(entry, base, seeds, {item.name for item in data})
        entry.finish()
        check_folder_name(method.folder, entry)
        if method.config is not None and overrides:
            method = replace(method, config=check_targets(method.config.replace(**overrides)))
        methods.append(method)
    check_seeds(fields, seed, max(method.seeds for method in methods))
    check_unique([method.name for method in methods], fields, key)
    check_unique([method.folder.casefold() for method in methods], fields, f"folders of {key}")
    for method in methods:
        if method.config is not None and method.name in BASELINES:
            fields.fail(f"{method.name!r} is a baseline's name: call the method something else.")
    computed = [m.name for m in methods if m.config is not None or m.predict is not None]
    if not computed:
        fields.fail(f"none of the {key} can be computed: give one a preset.")
    reference = fields.get_text("reference", computed[0])
    if reference not in computed:
        fields.fail(
            f"the reference {reference!r} is none of them.{suggest_nearest(reference, computed)}"
        )
    fields.finish()
    return Grid(kind, title, tuple(methods), data, reference, seed)


def read_preset(fields: Fields, name: str) -> Config:
    """Read a preset by name; raise :class:`ConfigError` with the place in the file."""
    try:
        return preset(name)
    except ConfigError as error:
        fields.fail(str(error))


def _read_method(fields: Fields, base: Config | None, seeds: int, data: set[str]) -> Method:
    paper = _read_paper(fields, data)
    if base is not None:
        return Method(fields.get_text("name"), paper, fields.apply("set", base), seeds)
    if fields.has("preset") and fields.has("baseline"):
        fields.fail("it has a preset and a baseline: write one of them.")
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
        shown = f"s3net {name}" + (f", {own} seeds" if fields.has("seeds") else "")
        return Method(fields.get_text("name", shown), paper, config, own)
    if not paper:
        fields.fail("it needs a preset, a baseline, or the paper's figures.")
    return Method(fields.get_text("name"), paper)


def _read_paper(fields: Fields, data: set[str]) -> Paper:
    tables = fields.get_table("paper")
    found = {}
    for name in tables.get_names():
        if name not in data:
            tables.fail(f"there is no data set {name!r}.{suggest_nearest(name, sorted(data))}")
        figures = tables.get_table(name)
        for metric in figures.get_names():
            if metric not in METRICS:
                figures.fail(
                    f"there is no metric {metric!r}.{suggest_nearest(metric, list(METRICS))}"
                )
        found[name] = {metric: figures.get_number(metric) for metric in figures.get_names()}
    return found
