"""Restore the names of inputs that already have results in a folder."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Sequence

from s3net_jax.run.content import digest_input
from s3net_jax.run.inputs import Source
from s3net_jax.run.names import take_free_name
from s3net_jax.run.output.log import ResultLog

__all__ = ["restore_names"]


def restore_names(sources: Sequence[Source], log: ResultLog) -> list[Source]:
    """Give each source the name under which ``log`` has its result.

    Names are made unique within a run, so a new input could change the names of finished ones. This
    function prevents that. It recognises an input by its path or, since data may be moved, by its
    file name and content.

    Args:
      sources: inputs of the run.
      log: log of the output folder.

    Returns:
      The sources in the same order, with unique names.
    """
    by_path, by_file = _index_log(log)
    taken: set[str] = set()
    names: dict[int, str] = {}

    def claim(index: int, stems: Sequence[str]) -> None:
        free = [stem for stem in stems if stem.casefold() not in taken]
        if free:
            own = sources[index].stem
            names[index] = own if own in free else free[-1]
            taken.add(names[index].casefold())

    for index, source in enumerate(sources):
        claim(index, by_path.get(os.path.abspath(source.path), ()))
    for index, source in enumerate(sources):
        alike = by_file.get(_get_file_name(source.path), {})
        if index in names or not alike:
            continue
        # If the name is the usual one, the plan compares the content later. Digest the input only
        # if it would get another name.
        digest = None if source.stem in alike else digest_input(source)
        claim(
            index,
            [s for s, known in alike.items() if s == source.stem or (known and known == digest)],
        )
    for index, source in enumerate(sources):
        if index not in names:
            names[index] = take_free_name(source.stem, taken)
    return [dataclasses.replace(s, stem=names[n]) for n, s in enumerate(sources)]


def _index_log(
    log: ResultLog,
) -> tuple[dict[str, list[str]], dict[str, dict[str, str | None]]]:
    """Index the log: stems by absolute path, and digests by file name and stem."""
    by_path: dict[str, list[str]] = defaultdict(list)
    by_file: dict[str, dict[str, str | None]] = defaultdict(dict)
    for record in log.list_records():
        path = record.get("input")
        if isinstance(path, str):
            by_path[os.path.abspath(path)].append(record["stem"])
            by_file[_get_file_name(path)][record["stem"]] = record.get("sha256")
    return by_path, by_file


def _get_file_name(path: str | os.PathLike[str]) -> str:
    return os.path.basename(os.path.abspath(path))
