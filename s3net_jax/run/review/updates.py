"""Keep ``report.html`` up to date while a run continues, at a bounded cost."""

from __future__ import annotations

import os
import time
import traceback
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from s3net_jax.errors import OutputError, describe_unexpected
from s3net_jax.run.review.report import Report

__all__ = ["ReportUpdates"]

# The page waits this multiple of the time that its last update took, so updates take at most 3 % of
# a run. They run in a thread beside the fits.
_REST = 32
_PAUSE = 5.0  # seconds between updates at least; a browser loads the page every 20 seconds
_BUDGET = 2.0  # seconds for drawing in one update, so that a resumed run of thousands starts soon
_LAST = 1.0  # seconds for drawing after an interruption, when the person or system is waiting
_PATIENCE = 20.0  # seconds to wait at the end for another process of the same run


class ReportUpdates:
    """The updates of the page of one run. A page that can't be written never ends the run."""

    def __init__(self, folder: Path, is_first: bool) -> None:
        """Prepare the updates.

        Args:
          folder: output folder of the run.
          is_first: whether this is the first process of the run; the others write the page only at
            their end.
        """
        self._report, self._is_first = Report(folder), is_first
        self._thread = ThreadPoolExecutor(1, "s3net-report")
        self._running: Future[None] | None = None
        self._next = 0.0

    def is_due(self) -> bool:
        """Return whether the page should be written now."""
        is_free = self._running is None or self._running.done()
        return self._is_first and is_free and time.monotonic() >= self._next

    def begin(self) -> None:
        """Begin to write the page in a thread; problems are left to :meth:`finish`."""
        self._running = self._thread.submit(self._update)

    def _update(self) -> None:
        start = time.monotonic()
        try:
            self._report.write(_BUDGET)
        except Exception:  # the last update reports a problem if it persists
            pass
        finally:
            end = time.monotonic()
            self._next = end + max(_PAUSE, _REST * (end - start))

    def finish(self, draw_all: bool) -> tuple[Path | None, str]:
        """Write the page for the last time.

        Args:
          draw_all: whether to draw all results, however long that takes.

        Returns:
          The path of the page and "", or None and a sentence on why it was not written.
        """
        self._thread.shutdown(wait=True)
        try:
            if draw_all:
                return self._report.write(patience=_PATIENCE), ""
            return self._report.write(_LAST, patience=_LAST), ""
        except OutputError as error:
            return None, str(error)
        except Exception as error:  # the results are complete without the page
            if os.environ.get("S3NET_DEBUG"):
                traceback.print_exception(error)
            return None, f"Writing {self._report.path} {describe_unexpected(error)}"
