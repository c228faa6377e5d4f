"""Errors a user can cause: an input that can't be used, a place that can't be written."""

from __future__ import annotations

__all__ = ["InputError", "OutputError", "broken", "reason_of"]


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


def reason_of(error: OSError) -> str:
    """Why the system refused something, as the end of a sentence: ``permission denied``."""
    return (error.strerror or type(error).__name__).lower()


def broken(name: str, error: Exception) -> InputError:
    """What is said of a file on which its decoder failed with ``error``."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    detail = lines[0].strip().rstrip(".")[:200] or type(error).__name__
    return InputError(f"{name} is broken or cut off ({detail}): copy or export the file again.")
