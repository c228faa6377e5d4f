"""Before anything is computed: what is to be done, what is done already, what is in the way."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.io import OutputError
from s3net_jax.run.discover import OUTPUT_KINDS, Source
from s3net_jax.run.log import ResultLog

__all__ = ["Task", "file_digest", "make_plan", "output_paths"]


@dataclass(frozen=True)
class Task:
    """One input, and whether its results are there already."""

    source: Source
    done: bool


def output_paths(out: Path, stem: str) -> dict[str, Path]:
    """Kind of result → its file."""
    return {kind: out / f"{stem}.{kind}.png" for kind in OUTPUT_KINDS}


def file_digest(path: Path) -> str | None:
    """SHA-256 of the file's content, or None if it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def make_plan(
    sources: list[Source], out: Path, log: ResultLog, digest: str, seed: int, overwrite: bool
) -> list[Task]:
    """What to do with each source. Nothing is overwritten unasked.

    A source is done if ``log`` holds a result of the same picture under the same configuration
    and seed, and all its files are there.

    Raises:
      OutputError: a result would replace an input; or, without ``overwrite``, the folder holds
        results of another configuration, seed or picture, or files of unknown origin.
    """
    inputs = {os.path.realpath(source.path) for source in sources}
    for source in sources:
        for path in output_paths(out, source.stem).values():
            if os.path.realpath(path) in inputs:
                raise OutputError(f"{path} is an input and a result: choose another output folder.")
    if overwrite:
        return [Task(source, done=False) for source in sources]
    for record in log.finished():
        if (record.get("config"), record.get("seed")) != (digest, seed):
            raise OutputError(
                f"{out} holds results of another configuration or seed: choose another output "
                "folder, or replace them with --overwrite."
            )
    return [Task(source, _is_done(source, out, log)) for source in sources]


def _is_done(source: Source, out: Path, log: ResultLog) -> bool:
    present = [path for path in output_paths(out, source.stem).values() if path.exists()]
    record = log.get(source.stem)
    if record is None or "error" in record:
        if present:
            raise OutputError(
                f"{present[0]} exists and is not from a finished run: choose another output "
                "folder, or replace it with --overwrite."
            )
        return False
    digest = file_digest(source.path)
    if digest is not None and record.get("sha256") != digest:
        raise OutputError(
            f"{out} holds results named {source.stem} of another picture ({record.get('input')}): "
            "choose another output folder, or replace them with --overwrite."
        )
    return digest is not None and len(present) == len(OUTPUT_KINDS)
