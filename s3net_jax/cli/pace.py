"""Estimate how long the remaining slices of a volume take, and decide when to print a line."""

from __future__ import annotations

import time
from collections.abc import Callable

from s3net_jax.text import format_duration

__all__ = ["Pace", "format_progress"]

_QUIET = 10.0
"""Shortest time in seconds between two lines of one input: short fits print none."""

_PATIENCE = 60.0
"""Time in seconds after which a line is due although less than a tenth of the work was done."""


class Pace:
    """The pace of one input that is fitted in pieces, such as the slices of a volume.

    The first report may follow pieces that were kept from an earlier run.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start the clock.

        Args:
          clock: function that returns the time in seconds.
        """
        self._clock = clock
        self._shown = clock()
        self._first: tuple[float, int] | None = None  # time and pieces of the first report
        self._second: tuple[float, int] | None = None  # and of the first new pieces
        self._printed = 0
        self.done = self.total = 0
        self.seconds_left: float | None = None

    def report(self, done: int, total: int) -> None:
        """Take note that ``done`` of ``total`` pieces are finished."""
        now = self._clock()
        self.done, self.total = done, total
        if self._first is None:
            self._first, self._printed = (now, done), done
            return
        if done == self._first[1]:
            return
        self._second = self._second or (now, done)
        since, start = self._first
        # The time until the first new pieces includes compilation. It is left out as soon as the
        # time after them is long enough to say more; workers may finish theirs at nearly once.
        if now - self._second[0] >= (self._second[0] - since) / 2 and done > self._second[1]:
            since, start = self._second
        self.seconds_left = (now - since) / (done - start) * (total - done)

    def is_due(self) -> bool:
        """Return whether to print a line now, and take note that it is printed."""
        waited = self._clock() - self._shown
        tenth = 10 * self.done // self.total > 10 * self._printed // self.total
        if self.done == self.total or waited < _QUIET or not (tenth or waited >= _PATIENCE):
            return False
        self._shown, self._printed = self._clock(), self.done
        return True


def format_progress(pace: Pace, noun: str = "") -> str:
    """Format the pace, such as ``slice 12 of 300, 4 min 10 s left``.

    Args:
      pace: pace of an input, after its first report.
      noun: ``slice`` or ``tile``, or "" to leave it out.
    """
    left = pace.seconds_left
    text = f"{noun} {pace.done} of {pace.total}".lstrip()
    return text if left is None else f"{text}, {format_duration(left)} left"
