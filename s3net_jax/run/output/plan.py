"""Before anything is computed: what is to be done, what is done already, what is in the way."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3net_jax.errors import OutputError, RecordError, reason_of
from s3net_jax.io.regular import read_regular
from s3net_jax.run.content import input_digest
from s3net_jax.run.inputs import Source
from s3net_jax.run.output.damage import find_damage
from s3net_jax.run.output.files import output_paths
from s3net_jax.run.output.log import ResultLog
from s3net_jax.schema import RunRecord, conform, parse_json

__all__ = ["Identity", "Task", "make_plan"]


@dataclass(frozen=True)
class Identity:
    """What a folder's results must share: the configuration's digest, first seed, their number."""

    config: str
    seed: int
    seeds: int = 1

    @property
    def each(self) -> range:
        """The seeds."""
        return range(self.seed, self.seed + self.seeds)

    def fields(self) -> dict[str, Any]:
        """As a record keeps it."""
        return {"config": self.config, "seed": self.seed, "seeds": self.seeds}

    def of(self, record: dict[str, Any]) -> bool:
        """Whether ``record`` has this identity."""
        found = record.get("config"), record.get("seed"), record.get("seeds", 1)
        return found == (self.config, self.seed, self.seeds)


@dataclass(frozen=True)
class Task:
    """One input, and what there is of it already.

    Attributes:
      source: the input.
      done: its result is there.
      replaces: there is a result which is given up for a new one.
      stands: there is a result which stays if no new one comes: some of its files are missing or
        damaged, or the input can't be read now.
      remark: a sentence on why it is done again, if a user should know.
    """

    source: Source
    done: bool = False
    replaces: bool = False
    stands: bool = False
    remark: str = ""


def make_plan(
    sources: list[Source],
    out: Path,
    log: ResultLog,
    identity: Identity,
    overwrite: bool,
    film: bool = False,
) -> list[Task]:
    """What to do with each source. Nothing is overwritten unasked.

    A source is done if ``log`` holds a result of the same content under the same configuration
    and seeds, and all its files are there as they were written (:func:`find_damage` reads them,
    as the inputs are read); with ``film`` that of the steps, too. With ``overwrite`` none is done,
    and what is there is replaced, except results of inputs that can't be read.

    Raises:
      OutputError: a result would replace an input; or, without ``overwrite``, the folder holds
        results of another configuration, seed or picture, or files of unknown origin.
    """
    inputs = {os.path.realpath(p) for source in sources for p in (source.path, *source.files)}
    for source in sources:
        for path in output_paths(out, source, identity.seeds, film).values():
            if os.path.realpath(path) in inputs:
                raise OutputError(f"{path} is an input and a result: choose another output folder.")
    if overwrite:
        return [_replacing(source, log) for source in sources]
    _refuse_foreign_run(out / "run.json", log)
    for record in log.finished():
        if not identity.of(record):
            raise OutputError(
                f"{out} holds results of another configuration or seed: choose another output "
                "folder, or replace them with --overwrite."
            )
    return [_resumed(source, out, log, identity, film) for source in sources]


def _refuse_foreign_run(path: Path, log: ResultLog) -> None:
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(
            f"{path} can't be read: {reason_of(error)}. Remove it, or choose another output folder."
        ) from None
    try:
        found = parse_json(content)
    except RecordError as error:
        if not content.strip(b"\0 \r\n") or log.records():
            return  # it was cut off, in a folder that is ours: the run writes it again
        found, problem = None, str(error)
    else:
        try:
            conform(found, RunRecord, "")
            return
        except RecordError as error:
            problem = str(error)
    raise OutputError(
        f"{path} exists and is not of a run of this tool ({problem}): choose another output "
        "folder, or replace it with --overwrite."
    )


def _replacing(source: Source, log: ResultLog) -> Task:
    files = source.files or (source.path,)
    readable = source.problem is None and all(os.access(path, os.R_OK) for path in files)
    finished = log.result(source.stem) is not None
    return Task(source, replaces=finished and readable, stands=finished and not readable)


def _resumed(
    source: Source,
    out: Path,
    log: ResultLog,
    identity: Identity,
    film: bool,
) -> Task:
    names = [path.name for path in output_paths(out, source, identity.seeds, film).values()]
    ours = log.unfinished | log.files_of(source.stem)
    foreign = [name for name in names if name not in ours and os.path.lexists(out / name)]
    if foreign:
        raise OutputError(
            f"{out / foreign[0]} exists and is not from a finished run: choose another output "
            "folder, or replace it with --overwrite."
        )
    record = log.result(source.stem)
    if record is None:
        return Task(source)
    known, digest = record.get("sha256"), input_digest(source)
    if digest is not None and known is not None and known != digest:
        raise OutputError(
            f"{out} holds results named {source.stem} of another picture ({record.get('input')}): "
            "choose another output folder, or replace them with --overwrite."
        )
    damage = find_damage(out, record)
    is_whole = not damage and set(names) <= set(record.get("outputs", {}).values())
    done = is_whole and digest is not None and known is not None
    remark = ""
    if digest is not None and damage:
        remark = f"{out / damage[0].name} {damage[0].problem}: {source.path} is segmented again."
    elif digest is not None and known is None:
        remark = (
            f"{out / 'results.jsonl'} does not say which content of {source.path} was segmented: "
            "it is segmented again."
        )
    return Task(source, done=done, stands=not done, remark=remark)
