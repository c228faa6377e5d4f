"""The two errors a user can cause: an input that can't be used, a place that can't be written."""

from __future__ import annotations

__all__ = ["InputError", "OutputError"]


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
