"""Inputs that a folder has results of already keep the names of these."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from s3net_jax.run.content import input_digest
from s3net_jax.run.inputs import Source
from s3net_jax.run.names import free_name
from s3net_jax.run.output.log import ResultLog

__all__ = ["known_names"]


def known_names(sources: Sequence[Source], log: ResultLog) -> list[Source]:
    """``sources`` under the names by which ``log`` knows them.

    What an input is called depends on those beside it: two of one stem are told apart. One that
    joins them later must not rename those that are done. An input is known by its path; or,
    since data may be moved, by the name of its file together with its content.
    """
    by_path, by_file = _places(log)
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
        alike = by_file.get(_file(source.path), {})
        if index in names or not alike:
            continue
        # Under its usual name the plan compares the content; only another name has to be proven.
        digest = None if source.stem in alike else input_digest(source)
        claim(
            index,
            [s for s, known in alike.items() if s == source.stem or (known and known == digest)],
        )
    for index, source in enumerate(sources):
        if index not in names:
            names[index] = free_name(source.stem, taken)
    return [dataclasses.replace(s, stem=names[n]) for n, s in enumerate(sources)]


def _places(log: ResultLog) -> tuple[dict[str, list[str]], dict[str, dict[str, Any]]]:
    """Absolute path → stems; name of a file → stem → digest of its content."""
    by_path: dict[str, list[str]] = defaultdict(list)
    by_file: dict[str, dict[str, Any]] = defaultdict(dict)
    for record in log.records():
        path = record.get("input")
        if isinstance(path, str):
            by_path[os.path.abspath(path)].append(record["stem"])
            by_file[_file(path)][record["stem"]] = record.get("sha256")
    return by_path, by_file


def _file(path: str | os.PathLike[str]) -> str:
    return os.path.basename(os.path.abspath(path))
