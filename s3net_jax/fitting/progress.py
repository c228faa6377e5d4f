"""Reports of a running fit to a listener on the host.

Compiled programs know one callback and get the number of a listener as an argument, so that every
listener is served by the same program.
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
"""Seconds that a finished program's last reports may take to reach the host. They come along with
the result on CPUs and GPUs; the limit only keeps a lost report from blocking for ever."""


@dataclass
class _Listener:
    progress: Progress
    reports: int = 0
    error: BaseException | None = None


_listeners: dict[int, _Listener] = {}
_numbers = itertools.count(1)
_changed = threading.Condition()


def report(number: Any, index: Any, record: dict[str, Any]) -> None:
    """The one callback: pass the record of step ``index`` on to listener ``number``.

    A listener that is gone, as after an interrupted fit, hears nothing.
    """
    with _changed:
        listener = _listeners.get(int(number))
    if listener is None:
        return
    try:
        listener.progress(int(index) + 1, {name: value.item() for name, value in record.items()})
    except BaseException as error:
        listener.error = error
        raise  # which ends the program
    finally:
        with _changed:
            listener.reports += 1
            _changed.notify_all()


def run_with_listener(progress: Progress, run: Callable[[np.int32], Any]) -> Any:
    """Call ``run(number)`` while ``progress`` hears the reports that carry this number.

    Returns once the last report was made. While ``run`` is traced nothing has been computed yet:
    the listener then stays, as the traced program may run at any later time.

    Args:
      progress: the listener.
      run: returns a pytree whose ``steps`` is the number of reports.

    Raises:
      Exception: whatever ``progress`` raised; the fit ends with its first error.
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
