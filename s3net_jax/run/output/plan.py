"""Plan a run: find finished results, and refuse folders with foreign files, before any fit."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.errors import OutputError, RecordError, get_reason
from s3net_jax.io import read_regular
from s3net_jax.run.content import digest_input
from s3net_jax.run.inputs import Source
from s3net_jax.run.members import has_separate_target
from s3net_jax.run.output.damage import find_damage
from s3net_jax.run.output.files import ResultFiles, plan_files
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.tables import check_tables
from s3net_jax.run.settings import RunSettings
from s3net_jax.schema import RunRecord, conform, parse_json

__all__ = ["Task", "make_plan"]


@dataclass(frozen=True)
class Task:
    """One input, the files of its result, and the state of its earlier result.

    Attributes:
      source: input.
      files: files that the result can have.
      is_done: whether a complete result exists.
      is_replacing: whether a new result replaces an earlier one.
      is_kept: whether an earlier result remains if no new one is made, because files are missing or
        damaged, or because the input can't be read now.
      remark: sentence for the user on why the input is segmented again, or "".
    """

    source: Source
    files: ResultFiles
    is_done: bool = False
    is_replacing: bool = False
    is_kept: bool = False
    remark: str = ""


def make_plan(sources: Sequence[Source], settings: RunSettings, log: ResultLog) -> list[Task]:
    """Decide what to do with each source; without ``overwrite``, no existing file is replaced.

    A source is done if ``log`` has a result of the same content, configuration, seeds and trained
    networks, and all its files are undamaged. With ``fit.record_labels`` that includes the film of
    the steps. Inputs and files are read to compare their digests. With ``overwrite`` no source is
    done, and all results are replaced, except those of inputs that can't be read.

    Args:
      sources: inputs of the run.
      settings: settings of the run.
      log: log of the output folder.

    Raises:
      OutputError: a result would replace an input; or, without ``overwrite``, the folder holds
        results of another configuration, seed, output option or picture, or files of unknown
        origin.
    """
    folder, film = settings.folder, settings.config.fit.record_labels
    seeds, output = settings.identity.seeds, settings.output
    clusters = has_separate_target(settings.config)
    planned = [
        (source, plan_files(folder, source, seeds, film, output, clusters)) for source in sources
    ]
    inputs = {os.path.realpath(p) for source in sources for p in (source.path, *source.files)}
    for _, files in planned:
        for path in map(files.locate, files.names):
            if os.path.realpath(path) in inputs:
                raise OutputError(
                    f"{path} is an input and would be replaced by a result: choose another output "
                    "folder."
                )
    if settings.overwrite:
        return [_plan_replacement(source, files, log) for source, files in planned]
    _refuse_foreign_run(folder / "run.json", log)
    if output is not None:
        check_tables(folder, output)
    for record in log.list_finished():
        if not settings.identity.matches(record):
            is_same = settings.identity.has_same_settings(record)
            what = "another configuration, seed or output option"
            what = "another trained network" if is_same else what
            raise OutputError(
                f"{folder} holds results of {what}: choose another output folder, or replace them "
                "with --overwrite."
            )
    return [_plan_resumption(source, files, log) for source, files in planned]


def _refuse_foreign_run(path: Path, log: ResultLog) -> None:
    try:
        content = read_regular(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(
            f"{path} can't be read: {get_reason(error)}. Remove it, or choose another output "
            "folder."
        ) from None
    try:
        found = parse_json(content)
    except RecordError as error:
        if not content.strip(b"\0 \r\n") or log.list_records():
            return  # a crash truncated it in a folder of this tool: the run writes it again
        found, problem = None, str(error)
    else:
        try:
            conform(found, RunRecord, "")
            return
        except RecordError as error:
            problem = str(error)
    raise OutputError(
        f"{path} was not written by s3net segment ({problem}): choose another output folder, or "
        "replace it with --overwrite."
    )


def _plan_replacement(source: Source, files: ResultFiles, log: ResultLog) -> Task:
    paths = source.files or (source.path,)
    is_readable = source.problem is None and all(os.access(path, os.R_OK) for path in paths)
    has_result = log.find_result(source.stem) is not None
    return Task(
        source,
        files,
        is_replacing=has_result and is_readable,
        is_kept=has_result and not is_readable,
    )


def _plan_resumption(source: Source, files: ResultFiles, log: ResultLog) -> Task:
    folder = files.folder
    ours = log.unfinished | log.find_files(source.stem)
    for name in files.names.values():
        if name not in ours and os.path.lexists(folder / name):
            raise OutputError(
                f"{folder / name} exists but is not from a finished run: choose another output "
                "folder, or replace it with --overwrite."
            )
    record = log.find_result(source.stem)
    if record is None:
        return Task(source, files)
    known, digest = record.get("sha256"), digest_input(source)
    if digest is not None and known is not None and known != digest:
        raise OutputError(
            f"{folder} already holds results named {source.stem} for another picture "
            f"({record.get('input')}): choose another output folder, or replace them with "
            "--overwrite."
        )
    damage = find_damage(folder, record)
    is_whole = not damage and set(files.required) <= set(record.get("outputs", {}).values())
    is_done = is_whole and digest is not None and known is not None
    remark = ""
    if digest is not None and damage:
        remark = f"{folder / damage[0].name} {damage[0].problem}: {source.path} is segmented again."
    elif digest is not None and known is None:
        remark = (
            f"{folder / 'results.jsonl'} has no digest of {source.path}, so the file is segmented "
            "again."
        )
    return Task(source, files, is_done=is_done, is_kept=not is_done, remark=remark)
