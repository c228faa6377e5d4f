"""Every error class of the package, and the words that messages share.

A message is one clear sentence for a person: what is wrong, the value, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

__all__ = [
    "ConfigError",
    "DivergedError",
    "InputError",
    "LostWorkerError",
    "NotNumbersError",
    "OutputError",
    "RecordError",
    "UsageError",
    "get_reason",
    "make_broken_error",
    "suggest_nearest",
]


class ConfigError(ValueError):
    """A configuration field or preset that does not exist, or a value it can't take."""


class UsageError(ValueError):
    """A command line that can't be carried out as given."""


class InputError(ValueError):
    """An image that can't be read or segmented; the message is one sentence for a person.

    Attributes:
      reasons: further sentences, where there are several; a line of the message each.
    """

    def __init__(self, message: str, *reasons: str):
        super().__init__(message, *reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "\n  ".join(self.args)


class OutputError(OSError):
    """A folder or file that can't be written; the message is one sentence for a person."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class RecordError(ValueError):
    """A record that can't be used; the message says what is wrong, as a clause or a sentence."""


class DivergedError(RuntimeError):
    """The optimisation left the finite numbers."""


class LostWorkerError(Exception):
    """A worker died over its work; the text says how."""


class NotNumbersError(TypeError):
    """A value that is no array of numbers."""


def suggest_nearest(word: str, names: Sequence[str]) -> str:
    """Return ``" Did you mean a or b?"`` for the names close to ``word``, or list all of them."""
    # A field of another section is close, whatever the section: loss.rotation.
    field = word.rpartition(".")[2]
    moved = [name for name in names if "." in word and name.rpartition(".")[2] == field]
    # 0.4 still finds "relased" and swapped letters, and seldom names that have nothing in common.
    close = moved or difflib.get_close_matches(word, names, n=3, cutoff=0.4)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return f" Known: {', '.join(names)}."


def get_reason(error: OSError) -> str:
    """Return why the system refused something, as the end of a sentence: ``permission denied``."""
    return (error.strerror or type(error).__name__).lower()


def make_broken_error(name: str, error: Exception) -> InputError:
    """Return the error for a file on which its decoder failed with ``error``."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    detail = lines[0].strip().rstrip(".")[:200] or type(error).__name__
    return InputError(f"{name} is broken or cut off ({detail}): copy or export the file again.")
