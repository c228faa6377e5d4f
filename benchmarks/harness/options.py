"""Options of the suites: what is refused before anything is measured, in a sentence, with a 2."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.harness import metadata

__all__ = ["DTYPES", "Parser", "is_usual", "modernise_command", "parse_positive"]

DTYPES = ("float32", "bfloat16")
_NOT_THE_WORK = ("--overwrite", "--json")
"""Options without which a command would have measured the same."""


def parse_positive(text: str) -> int:
    """A whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return number


def is_usual(asked: Iterable[object] | None, usual: Iterable[object]) -> bool:
    """Whether an option names what is taken without it, in any order."""
    return asked is None or set(asked) == set(usual)


class Parser(argparse.ArgumentParser):
    """Of a suite: writes a result file."""

    def __init__(self, suite: str, description: str | None) -> None:
        super().__init__(prog=f"python -m benchmarks {suite}", description=description)
        self._suite = suite
        self.add_argument("--json", action="store_true", help="print the result file's content")
        self.add_argument(
            "--overwrite",
            action="store_true",
            help="let a narrowed run replace the result file of another command",
        )

    def command(self, arguments: Sequence[str]) -> str:
        """As a result file keeps it."""
        return f"{self.prog} {' '.join(arguments)}"

    def check_names(
        self, only: Sequence[str] | None, offered: Iterable[str], absent: Iterable[str] = ()
    ) -> None:
        """Refuse an ``--only`` with names that nobody has, or that leaves no candidate.

        Args:
          only: what was asked for; None for all.
          offered: names of candidates.
          absent: names that would be there with PyTorch, which says itself that it is missing.
        """
        names = list(offered)
        unknown = [n for n in only or () if n not in names and n not in absent]
        if unknown:
            listed = ", ".join(map(repr, names))
            self.error(f"--only: there is no candidate {unknown[0]!r} here: take {listed}")
        if only is not None and not set(only) & set(names):
            self.error(f"--only {' '.join(map(repr, only))} leaves nothing to measure here")

    def claim(
        self, name: str, arguments: Sequence[str], *, narrowed: bool, overwrite: bool
    ) -> None:
        """Refuse a folder that can't be written to, and a ``narrowed`` run in place of another
        command's file ``name``."""
        folder = metadata.RESULTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            self.error(
                f"results can't be written to {folder} ({error.strerror}): name another folder by "
                "S3NET_BENCHMARKS_RESULTS"
            )
        path = folder / f"{name}.json"
        if not narrowed or overwrite or not path.is_file():
            return
        before = _read_command(path)
        if _list_work_words(before) != _list_work_words(self.command(arguments)):
            self.error(
                f"{os.path.relpath(path)} is of another command ({before}), and this one measures "
                "less than all: give --overwrite to replace it, or another folder by "
                "S3NET_BENCHMARKS_RESULTS"
            )


def modernise_command(command: str) -> str:
    """Return a result file's command as it is typed today: older files name the suite's module."""
    return command.replace("python -m benchmarks.", "python -m benchmarks ", 1)


def _read_command(path: Path) -> str:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["metadata"]["command"]
    except (ValueError, KeyError, TypeError):
        return "unknown"


def _list_work_words(command: str) -> list[str]:
    return [word for word in modernise_command(command).split() if word not in _NOT_THE_WORK]
