"""All exception classes of the package, and helpers for their messages.

A message is one clear sentence: what is wrong, the value, what to do.
"""

from __future__ import annotations

import difflib
import os
import traceback
from collections.abc import Sequence

__all__ = [
    "CancelledError",
    "ConfigError",
    "DivergedError",
    "InputError",
    "LostWorkerError",
    "NotNumbersError",
    "OutputError",
    "RecordError",
    "TrainingStoppedError",
    "UsageError",
    "describe_unexpected",
    "get_reason",
    "make_broken_error",
    "suggest_nearest",
]


class CancelledError(Exception):
    """Ends a segmentation that the user cancelled; no user sees it."""


class ConfigError(ValueError):
    """An unknown configuration field or preset, or an invalid value."""


class TrainingStoppedError(Exception):
    """Ends a training whose result nobody waits for; no user sees it."""


class UsageError(ValueError):
    """An invalid command line."""


class InputError(ValueError):
    """An image that cannot be read or segmented; the message is one sentence for the user.

    Attributes:
      reasons: further sentences; each is a line of the message.
    """

    def __init__(self, message: str, *reasons: str):
        super().__init__(message, *reasons)
        self.reasons = reasons

    def __str__(self) -> str:
        return "\n  ".join(self.args)


class OutputError(OSError):
    """A folder or file that cannot be written; the message is one sentence for the user."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class RecordError(ValueError):
    """An invalid record; the message is a clause or a sentence."""


class DivergedError(RuntimeError):
    """The optimisation produced numbers that are not finite."""


class LostWorkerError(Exception):
    """A worker process died; the message says how."""


class NotNumbersError(TypeError):
    """A value that is not an array of numbers."""


def suggest_nearest(word: str, names: Sequence[str]) -> str:
    """Return ``" Did you mean a or b?"`` for names similar to ``word``, or a list of all names."""
    # A field of another section counts as similar: loss.rotation.
    field = word.rpartition(".")[2]
    moved = [name for name in names if "." in word and name.rpartition(".")[2] == field]
    # 0.4 still finds "relased" and swapped letters, and rarely names that are unrelated.
    close = moved or difflib.get_close_matches(word, names, n=3, cutoff=0.4)
    if close:
        return f" Did you mean {' or '.join(close)}?"
    return f" Known: {', '.join(names)}."


def get_reason(error: OSError) -> str:
    """Return the reason of a system error for the end of a sentence, like ``permission denied``."""
    return (error.strerror or type(error).__name__).lower()


def describe_unexpected(error: BaseException) -> str:
    """Describe an unexpected error as a clause with its type, first line and location."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    return (
        f"failed with an unexpected error ({type(error).__name__}: {first}, in "
        f"{os.path.basename(where.filename)} line {where.lineno}): set S3NET_DEBUG=1 to see the "
        "traceback."
    )


def make_broken_error(name: str, error: Exception) -> InputError:
    """Return the error for a file whose decoder failed with ``error``."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    detail = lines[0].strip().rstrip(".")[:200] or type(error).__name__
    return InputError(f"{name} is broken or cut off ({detail}): copy or export the file again.")
