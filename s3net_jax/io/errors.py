"""The two errors a user can cause: an input that can't be used, a place that can't be written."""

from __future__ import annotations

__all__ = ["InputError", "OutputError"]


class InputError(ValueError):
    """An image that can't be read or segmented; the message is one sentence for a person."""


class OutputError(OSError):
    """A folder or file that can't be written; the message is one sentence for a person."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""
