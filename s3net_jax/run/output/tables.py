"""Write the tables of a whole output folder: measures of all results, and COCO annotations.

The tables are derived from the records and files of the results, so they are complete after any
number of interruptions.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from s3net_jax.errors import InputError, OutputError, RecordError
from s3net_jax.io import open_regular, remove_file, sync_folder, write_bytes
from s3net_jax.measure import (
    COCO_START,
    HEAD,
    CocoImage,
    Row,
    annotate,
    encode_coco,
    format_table,
)
from s3net_jax.parallel import map_in_threads
from s3net_jax.run.arrays import read_array
from s3net_jax.run.output.lock import lock_file, release_file
from s3net_jax.run.output.log import read_log
from s3net_jax.run.settings import OutputOptions
from s3net_jax.schema import MeasuresRecord, ResultRecord, read_json

__all__ = ["check_tables", "remove_tables", "write_tables"]

_TARGETS, _CLUSTERS, _INSTANCES, _COCO = TABLES = (
    "measures.csv",
    "measures_clusters.csv",
    "measures_instances.csv",
    "coco.json",
)


def check_tables(folder: Path, options: OutputOptions) -> None:
    """Refuse a folder in which a table would replace a file of unknown origin.

    Raises:
      OutputError: there is such a file.
    """
    for name in _list_tables(options):
        if os.path.lexists(folder / name) and not _is_table(folder / name):
            raise OutputError(
                f"{folder / name} was not written by s3net segment: choose another output folder, "
                "or replace it with --overwrite."
            )


def write_tables(folder: Path, options: OutputOptions, is_finished: bool = True) -> list[str]:
    """Write the tables of all results in ``folder``; each is replaced atomically.

    Several processes may call this for one folder: each reads the log again, one after the other,
    so the last one writes all results.

    Args:
      folder: output folder.
      options: which tables to write; earlier tables of others are deleted.
      is_finished: whether the run is finished. After an interruption only the measures are written,
        since annotations take long to collect; the resumed run writes them.

    Returns:
      Notes on results that are left out.

    Raises:
      OutputError: a table can't be written or deleted.
    """
    notes: list[str] = []
    with _hold_tables(folder):
        records = _read_finished(folder / "results.jsonl")
        wanted = _list_tables(options)
        for name in TABLES:
            if name not in wanted and _is_table(folder / name):
                remove_file(folder / name)
        write_bytes(folder / _TARGETS, format_table([_make_row(one) for one in records]))
        if _CLUSTERS in wanted or _INSTANCES in wanted:
            _write_regions(folder, records, wanted, notes)
        if _COCO in wanted and is_finished:
            write_bytes(folder / _COCO, _collect_coco(folder, records, options, notes))
        sync_folder(folder)
    unmeasured = sum("measures" not in record for record in records)
    if unmeasured:
        count = "1 result" if unmeasured == 1 else f"{unmeasured} results"
        notes.append(
            f"{folder / _TARGETS} has only the area of {count} from an earlier version; to measure "
            "them, repeat the command with --overwrite."
        )
    return notes


def remove_tables(folder: Path) -> None:
    """Delete the tables of an earlier run, whose results are to be replaced.

    Raises:
      OutputError: a table can't be deleted.
    """
    for name in TABLES:
        if _is_table(folder / name):
            remove_file(folder / name)


def _list_tables(options: OutputOptions) -> list[str]:
    chosen = {
        _TARGETS: True,
        _CLUSTERS: options.measure_clusters,
        _INSTANCES: options.instances,
        _COCO: "coco" in options.export,
    }
    return [name for name in TABLES if chosen[name]]


def _is_table(path: Path) -> bool:
    """Return whether a file begins like a table that s3net writes."""
    start = COCO_START if path.name == _COCO else ",".join(HEAD).encode()
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            return file.read(len(start)) == start
    except OSError:
        return False


@contextmanager
def _hold_tables(folder: Path) -> Iterator[None]:
    """Wait until no other process writes the tables of ``folder``, and keep others waiting."""
    path = folder / ".tables"
    handle = lock_file(path, patience=math.inf)
    try:
        yield
    finally:
        if handle is not None:  # None: locks are not supported
            release_file(path, handle)


def _read_finished(path: Path) -> list[ResultRecord]:
    """Read the last record of every result, in the order of their names."""
    if not os.path.lexists(path):
        return []
    last = {record["stem"]: record for record in read_log(path)}
    return [last[stem] for stem in sorted(last) if "error" not in last[stem]]


def _make_row(record: ResultRecord) -> Row:
    """Make a row from a record; earlier versions recorded only the number of pixels."""
    measures = record.get("measures")
    if measures is None:
        kind = "volume_voxels" if record.get("depth", 1) > 1 else "area_px"
        measures = {kind: record.get("area")}
    return _describe_input(record) | measures


def _describe_input(record: ResultRecord) -> Row:
    row: Row = {"name": record["stem"], "input": record.get("input", "")}
    row |= {"width_px": record.get("width"), "height_px": record.get("height")}
    return row | ({"slices": record["depth"]} if "depth" in record else {})


def _write_regions(
    folder: Path, records: Sequence[ResultRecord], wanted: Collection[str], notes: list[str]
) -> None:
    """Join the measures of the clusters and instances of all results."""
    clusters: list[Row] = []
    instances: list[Row] = []
    for record in records:
        name = record.get("outputs", {}).get("measures")
        if name is None:
            continue
        try:
            found: MeasuresRecord = read_json(folder / name, MeasuresRecord)
        except RecordError as error:
            notes.append(f"{folder / name} is left out of the tables ({error}).")
            continue
        start = _describe_input(record)
        clusters += [start | row for row in found.get("clusters", [])]
        instances += [start | row for row in found.get("instances", [])]
    for name, rows in ((_CLUSTERS, clusters), (_INSTANCES, instances)):
        if name in wanted:
            write_bytes(folder / name, format_table(rows))


def _collect_coco(
    folder: Path, records: Sequence[ResultRecord], options: OutputOptions, notes: list[str]
) -> bytes:
    """Make COCO annotations of the masks, or instances, of all pictures."""
    kind = "instances" if options.instances else "mask"
    chosen = [one for one in records if one.get("outputs", {}).get(kind, "").endswith(".png")]
    names = [os.path.basename(one.get("input", one["stem"])) for one in chosen]
    times = Counter(names)
    # COCO names images within one folder. If names repeat, only whole paths tell them apart.
    if any(count > 1 for count in times.values()):
        names = [one.get("input", one["stem"]) for one in chosen]

    def describe(number: int) -> CocoImage | InputError:
        record = chosen[number]
        try:
            labels = read_array(folder / record.get("outputs", {})[kind])
        except InputError as error:
            return error
        numbers = np.unique(labels[labels > 0])
        found = [annotate(labels == value) for value in numbers]
        height, width = labels.shape
        return CocoImage(names[number], (height, width), found)

    pixels = max((one.get("width", 0) * one.get("height", 0) for one in chosen), default=0)
    images = []
    for found in map_in_threads(describe, range(len(chosen)), pixels):
        if isinstance(found, InputError):
            notes.append(f"Left out of {folder / _COCO}: {found}")
        else:
            images.append(found)
    return encode_coco(images)
