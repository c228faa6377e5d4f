"""Parse the options of suites; invalid ones are reported before any timing, with exit code 2."""

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
"""Options that do not change what a command measures."""


def parse_positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return number


def is_usual(asked: Iterable[object] | None, usual: Iterable[object]) -> bool:
    """Return whether an option has its default values, in any order."""
    return asked is None or set(asked) == set(usual)


class Parser(argparse.ArgumentParser):
    """Parser of a suite that writes a result file.

    Args:
      suite: name of the suite.
      description: text of ``--help``.
    """

    def __init__(self, suite: str, description: str | None) -> None:
        super().__init__(prog=f"python -m benchmarks {suite}", description=description)
        self._suite = suite
        self.add_argument("--json", action="store_true", help="print the result file's content")
        self.add_argument(
            "--overwrite",
            action="store_true",
            help="replace the result file of another command, even if this run measures less",
        )

    def command(self, arguments: Sequence[str]) -> str:
        """Format the command as stored in result files."""
        return f"{self.prog} {' '.join(arguments)}"

    def check_names(
        self, only: Sequence[str] | None, offered: Iterable[str], absent: Iterable[str] = ()
    ) -> None:
        """Exit with an error if ``--only`` has unknown names or leaves no candidate.

        Args:
          only: requested names; None for all.
          offered: names of the available candidates.
          absent: names that need PyTorch; :func:`has_torch` reports that it is missing.
        """
        names = list(offered)
        unknown = [n for n in only or () if n not in names and n not in absent]
        if unknown:
            listed = ", ".join(map(repr, names))
            self.error(f"--only: there is no candidate {unknown[0]!r} here: choose from {listed}")
        if only is not None and not set(only) & set(names):
            self.error(f"--only {' '.join(map(repr, only))} leaves nothing to measure here")

    def claim(
        self, name: str, arguments: Sequence[str], *, narrowed: bool, overwrite: bool
    ) -> None:
        """Exit with an error if the result file may not be written.

        Args:
          name: name of the result file.
          arguments: arguments of this command.
          narrowed: whether this run measures less than the whole suite; it then may not replace
            the file of another command.
          overwrite: whether to replace the file in any case.
        """
        folder = metadata.RESULTS
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            self.error(
                f"can't write results to {folder} ({error.strerror}): set "
                "S3NET_BENCHMARKS_RESULTS to another folder"
            )
        path = folder / f"{name}.json"
        if not narrowed or overwrite or not path.is_file():
            return
        before = _read_command(path)
        if _list_work_words(before) != _list_work_words(self.command(arguments)):
            self.error(
                f"{os.path.relpath(path)} was written by another command ({before}), and this one "
                "measures only a part: pass --overwrite to replace it, or set "
                "S3NET_BENCHMARKS_RESULTS to another folder"
            )


def modernise_command(command: str) -> str:
    """Return the command of a result file in today's form; older files name the suite's module."""
    return command.replace("python -m benchmarks.", "python -m benchmarks ", 1)


def _read_command(path: Path) -> str:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["metadata"]["command"]
    except (ValueError, KeyError, TypeError):
        return "unknown"


def _list_work_words(command: str) -> list[str]:
    return [word for word in modernise_command(command).split() if word not in _NOT_THE_WORK]
