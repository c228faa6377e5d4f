"""Print shell completion scripts, which the optional package shtab makes from the parser."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from s3net_jax.errors import UsageError, suggest_nearest
from s3net_jax.presets import PRESETS

__all__ = ["SHELLS", "PrintCompletion"]

SHELLS = ("bash", "zsh", "tcsh")
_FOLDERS = {"bash": "_shtab_compgen_dirs", "zsh": "_files -/", "tcsh": "d"}
_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
_COMPLETED = {"DIR": _FOLDERS, "FILE": _FILES, "INPUT": _FILES}
"""Metavariable → completion function of each shell, in the terms of shtab."""


class PrintCompletion(argparse.Action):
    """Print the completion script for a shell, and exit."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any
    ) -> NoReturn:
        if values not in SHELLS:
            raise UsageError(
                f"There is no completion script for {values!r}.{suggest_nearest(values, SHELLS)}"
            )
        try:
            import shtab  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UsageError(
                "--print-completion needs shtab: pip install 's3net-jax[completion]'."
            ) from None
        _describe_values(parser)
        print(shtab.complete(parser, values))
        parser.exit()


def _describe_values(parser: argparse.ArgumentParser) -> None:
    """Tell shtab which arguments are files, folders or one of a few words."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                _describe_values(command)
        elif "--preset" in action.option_strings:
            action.choices = list(PRESETS)
        elif action.metavar in _COMPLETED:
            action.complete = _COMPLETED[action.metavar]  # type: ignore[attr-defined]
