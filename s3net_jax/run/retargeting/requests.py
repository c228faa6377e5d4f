"""Read which target each result of a folder is to get."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.csv_text import parse_sheet
from s3net_jax.errors import ConfigError, InputError, get_reason, suggest_nearest
from s3net_jax.io import read_regular
from s3net_jax.masks import Pick, parse_choice
from s3net_jax.schema import ResultRecord

__all__ = ["Names", "Request", "read_targets", "request_target"]

_LISTED = 10  # maximum number of known names that an error lists
_LONGEST = 200  # characters of a verdict


@dataclass(frozen=True)
class Request:
    """What to do with one result.

    Attributes:
      stem: name of the result.
      target: target as the user wrote it; "" keeps the present one.
      choice: the parsed target, or None to keep the present one.
      verdict: remark to record, or "".
      where: place of the request for errors, such as ``targets.csv, line 3``, or "".
    """

    stem: str
    target: str = ""
    choice: str | Pick | None = None
    verdict: str = ""
    where: str = ""


class Names:
    """The names by which a user can refer to the results in a folder.

    A result is found by its stem, by the path of its input, and by the input's file name with or
    without suffix if only one input has that name.
    """

    def __init__(self, records: Iterable[ResultRecord], folder: Path) -> None:
        self._folder = folder
        self._stems: dict[str, set[str]] = defaultdict(set)
        self._all: list[str] = []
        self._shown: dict[str, None] = {}  # names to suggest, in order
        for record in records:
            stem, path = record["stem"], Path(record.get("input", record["stem"]))
            self._all.append(stem)
            self._shown |= {path.name: None, stem: None}
            for name in {os.path.abspath(path), str(path), path.name, path.stem}:
                self._stems[name].add(stem)
        for stem in self._all:
            self._stems[stem] = {stem}

    def find(self, name: str) -> str:
        """Return the stem of the result that ``name`` refers to.

        Raises:
          ConfigError: there is no such result, or several.
        """
        name = name.strip()
        found = self._stems.get(name) or self._stems.get(os.path.abspath(name), set())
        if len(found) == 1:
            return next(iter(found))
        if found:
            raise ConfigError(
                f"{name!r} may be any of the results {', '.join(sorted(found))}: use one of these "
                "names."
            )
        hint = suggest_nearest(name, [*self._shown])
        if hint.startswith(" Known:"):
            more = f" and {len(self._all) - _LISTED} more" if len(self._all) > _LISTED else ""
            hint = f" Known: {', '.join(self._all[:_LISTED])}{more}."
        raise ConfigError(f"{self._folder} has no result of {name!r}.{hint}")


def request_target(target: str, stems: Iterable[str]) -> list[Request]:
    """Request one target for several results; raise :class:`ConfigError` if it is invalid."""
    choice = parse_choice(target)
    return [Request(stem, target.strip(), choice) for stem in stems]


def read_targets(path: Path, names: Names) -> list[Request]:
    """Read a CSV file with the columns ``image``, ``target`` and, optionally, ``verdict``.

    A row with an empty target keeps the target, and a row with neither target nor verdict is
    skipped. Semicolons, tabs and a byte-order mark are accepted.

    Args:
      path: CSV file.
      names: names of the results.

    Raises:
      InputError: the file can't be read, or rows are wrong; the message names every wrong line.
    """
    try:
        rows = parse_sheet(read_regular(path, follow=True), ("image", "target"), ("verdict",))
    except OSError as error:
        raise InputError(f"{path} can't be read: {get_reason(error)}.") from None
    except ValueError as error:
        raise InputError(f"{path} is not a table of targets ({error}).") from None
    requests: list[Request] = []
    problems: list[str] = []
    lines: dict[str, int] = {}
    for row in rows:
        where = f"{path}, line {row.line}"
        cells = row.cells
        try:
            if not cells["image"]:
                raise ConfigError("The column image is empty.")
            stem = names.find(cells["image"])
            if stem in lines:
                raise ConfigError(f"The image {cells['image']!r} is already in line {lines[stem]}.")
            lines[stem] = row.line
            if len(cells["verdict"]) > _LONGEST:
                raise ConfigError(f"The verdict has more than {_LONGEST} characters.")
            choice = parse_choice(cells["target"]) if cells["target"] else None
        except ConfigError as error:
            problems.append(f"{where}: {error}")
            continue
        if choice is not None or cells["verdict"]:
            requests.append(Request(stem, cells["target"], choice, cells["verdict"], where))
    _refuse(problems)
    if not requests:
        raise InputError(f"{path} has no row with a target or a verdict.")
    return requests


def _refuse(problems: Sequence[str]) -> None:
    if len(problems) == 1:
        raise InputError(problems[0])
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise InputError(
            f"Nothing was changed, because {len(problems)} rows are wrong:",
            *problems[:_LISTED],
            *more,
        )
