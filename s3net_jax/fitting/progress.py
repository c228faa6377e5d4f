"""Report the progress of a running fit to a listener on the host.

A compiled program holds one fixed callback and receives the number of a listener as an argument.
A new listener therefore needs no new program.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from s3net_jax.fitting.checks import is_traced

__all__ = ["Progress", "report", "run_with_listener"]

Progress = Callable[[int, dict[str, Any]], None]
"""Called as ``progress(step, {"loss": ..., "labels": ...})``."""

_PATIENCE = 10.0
"""Longest time, in seconds, to wait for the last reports of a finished program. On CPUs and GPUs
they arrive with the result; the limit only keeps a lost report from blocking forever."""


@dataclass
class _Listener:
    progress: Progress
    reports: int = 0
    error: BaseException | None = None


_listeners: dict[int, _Listener] = {}
_numbers = itertools.count(1)
_changed = threading.Condition()


def report(number: Any, index: Any, record: dict[str, Any]) -> None:
    """Pass the record of step ``index`` to listener ``number``; the callback of all programs.

    Reports to a listener that no longer exists, as after an interrupted fit, are dropped.
    """
    with _changed:
        listener = _listeners.get(int(number))
    if listener is None:
        return
    try:
        listener.progress(int(index) + 1, {name: value.item() for name, value in record.items()})
    except BaseException as error:
        listener.error = error
        raise  # an error in the callback ends the program
    finally:
        with _changed:
            listener.reports += 1
            _changed.notify_all()


def run_with_listener(progress: Progress, run: Callable[[np.int32], Any]) -> Any:
    """Call ``run(number)`` and pass reports with this number to ``progress``.

    Returns after the last report. If ``run`` is being traced, nothing is computed yet, and the
    program may run at any later time; the listener is then kept until the process ends.

    Args:
      progress: listener.
      run: function of the listener's number; returns a pytree whose ``steps`` is the number of
        reports.

    Raises:
      Exception: the first error that ``progress`` raised, which also ends the fit.
    """
    listener = _Listener(progress)
    with _changed:
        number = next(_numbers)
        _listeners[number] = listener
    stays = False
    try:
        result = run(np.int32(number))
        stays = is_traced(result)
        if not stays:
            jax.block_until_ready(result)
            steps = int(result.steps)
            with _changed:
                _changed.wait_for(lambda: listener.reports >= steps, timeout=_PATIENCE)
    except Exception:
        if listener.error is None:
            raise
    finally:
        if not stays:
            with _changed:
                del _listeners[number]
    if listener.error is not None:
        raise listener.error
    return result
