"""``results.jsonl``: one line per input, and what a folder already holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from s3net_jax.io import OutputError, write_bytes

__all__ = ["ResultLog"]


class ResultLog:
    """The lines of ``results.jsonl``, by stem; a new line for a stem replaces the old one."""

    def __init__(self, path: Path) -> None:
        """Reads ``path`` if it exists; raises :class:`OutputError` if it is something else."""
        self.path = path
        self._records: dict[str, dict[str, Any]] = {}
        if not path.exists():
            return
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            for line in filter(str.strip, lines):
                record = json.loads(line)
                self._records[record["stem"]] = record
        except (OSError, ValueError, KeyError, TypeError):
            raise OutputError(
                f"{path} is not a list of results of this tool: choose another output folder."
            ) from None

    def get(self, stem: str) -> dict[str, Any] | None:
        """The record of ``stem``, if there is one."""
        return self._records.get(stem)

    def finished(self) -> list[dict[str, Any]]:
        """The records of inputs that were segmented, without failures."""
        return [record for record in self._records.values() if "error" not in record]

    def put(self, record: dict[str, Any]) -> None:
        """Adds ``record``, on disk too: appended, or the file replaced if its stem is there."""
        known = record["stem"] in self._records
        self._records[record["stem"]] = record
        if known:
            text = "".join(_line(r) for r in self._records.values())
            write_bytes(self.path, text.encode())
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(record))
        except OSError as error:
            raise OutputError(f"{self.path} can't be written: {error.strerror}.") from None


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n"
