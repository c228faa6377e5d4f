"""Create or resume the folder of an experiment, or refuse one that belongs to another."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from s3net_jax.errors import OutputError, RecordError
from s3net_jax.io import make_folder, remove_leftovers
from s3net_jax.schema import ExperimentRecord, read_json, write_json

__all__ = ["RESULTS", "begin_folder"]

RESULTS = ("table.csv", "summary.json", "table.md", "report.html")
"""Files that every experiment writes, beside the folders of its parts."""

_NAME = "experiment.json"


def begin_folder(
    out: Path, title: str, parts: dict[str, Any], shared: dict[str, Any], overwrite: bool
) -> Path:
    """Create or resume the folder; its ``experiment.json`` identifies the experiment.

    Args:
      out: output folder.
      title: title of the experiment.
      parts: name of each part → everything that determines its results. Parts may be added and
        removed between runs, but not changed.
      shared: everything that determines the results of all parts.
      overwrite: whether to use the folder whatever it contains.

    Raises:
      OutputError: if the folder cannot be written or contains something else.
    """
    folder = make_folder(out)
    remove_leftovers(folder)
    found = None if overwrite else _read(folder)
    if not overwrite:
        _refuse(folder, found, title, parts, shared)
    known = {} if found is None else found["parts"]
    record: ExperimentRecord = {"title": title, "shared": shared, "parts": {**known, **parts}}
    write_json(folder / _NAME, record)
    return folder


def _read(folder: Path) -> ExperimentRecord | None:
    path = folder / _NAME
    if not os.path.lexists(path):
        return None
    try:
        return read_json(path, ExperimentRecord)
    except RecordError as error:
        raise OutputError(
            f"{path} was not written by an experiment of this tool ({error}): choose another "
            "output folder, or replace it with --overwrite."
        ) from None


def _refuse(
    folder: Path,
    found: ExperimentRecord | None,
    title: str,
    parts: dict[str, Any],
    shared: dict[str, Any],
) -> None:
    remedy = "choose another output folder, or replace it with --overwrite."
    if found is None:
        there = [name for name in RESULTS if os.path.lexists(folder / name)]
        if there:
            raise OutputError(f"{folder / there[0]} was not written by an experiment: {remedy}")
        return
    if found["title"] != title:
        raise OutputError(f"{folder} contains another experiment ({found['title']!r}): {remedy}")
    if found["shared"] != shared:
        raise OutputError(f"{folder} contains this experiment with other settings: {remedy}")
    for name, part in parts.items():
        if found["parts"].get(name, part) != part:
            raise OutputError(
                f"{folder} contains this experiment with other settings of {name!r}: {remedy}"
            )
