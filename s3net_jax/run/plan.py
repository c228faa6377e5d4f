"""Before anything is computed: what is to be done, what is done already, what is in the way."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3net_jax.io import OutputError
from s3net_jax.run.discover import Source
from s3net_jax.run.log import ResultLog
from s3net_jax.run.outputs import output_paths

__all__ = ["Identity", "Task", "input_digest", "make_plan"]


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
      stands: there is a result which stays if no new one comes: some of its files are missing, or
        the input can't be read now.
    """

    source: Source
    done: bool = False
    replaces: bool = False
    stands: bool = False


def input_digest(source: Source) -> str | None:
    """SHA-256 of the input's content (of a series: of its files' digests in order), or None if
    it can't be read."""
    try:
        if len(source.files) > 1:
            each = sorted(_file_digest(path) for path in source.files)
            return hashlib.sha256("".join(each).encode()).hexdigest()
        return _file_digest(source.files[0] if source.files else source.path)
    except OSError:
        return None


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    and seeds, and all its files are there; with ``film`` that of the steps, too. With
    ``overwrite`` none is done, and what is there is replaced, except results of inputs that can't
    be read.

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
    _refuse_foreign_run(out / "run.json")
    for record in log.finished():
        if not identity.of(record):
            raise OutputError(
                f"{out} holds results of another configuration or seed: choose another output "
                "folder, or replace them with --overwrite."
            )
    return [_going_on(source, out, log, identity, film) for source in sources]


def _refuse_foreign_run(path: Path) -> None:
    try:
        ours = "config_digest" in json.loads(path.read_bytes())
    except FileNotFoundError:
        return
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"{path} can't be read: {reason}.") from None
    except (ValueError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise OutputError(
            f"{path} exists and is not of a run of this tool: choose another output folder, or "
            "replace it with --overwrite."
        )


def _replacing(source: Source, log: ResultLog) -> Task:
    files = source.files or (source.path,)
    readable = source.problem is None and all(os.access(path, os.R_OK) for path in files)
    finished = log.result(source.stem) is not None
    return Task(source, replaces=finished and readable, stands=finished and not readable)


def _going_on(source: Source, out: Path, log: ResultLog, identity: Identity, film: bool) -> Task:
    paths = list(output_paths(out, source, identity.seeds, film).values())
    present = [path for path in paths if path.exists()]
    ours = log.unfinished | log.files_of(source.stem)
    foreign = [path for path in present if path.name not in ours]
    if foreign:
        raise OutputError(
            f"{foreign[0]} exists and is not from a finished run: choose another output "
            "folder, or replace it with --overwrite."
        )
    record = log.result(source.stem)
    if record is None:
        return Task(source)
    digest = input_digest(source)
    if digest is not None and record.get("sha256") != digest:
        raise OutputError(
            f"{out} holds results named {source.stem} of another picture ({record.get('input')}): "
            "choose another output folder, or replace them with --overwrite."
        )
    done = digest is not None and len(present) == len(paths)
    return Task(source, done=done, stands=not done)
