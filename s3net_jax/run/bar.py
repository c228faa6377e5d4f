"""Show the progress of fits started from Python: a bar in a terminal, a line in a notebook, or the
view of another program."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from s3net_jax.run.fitter import Progress

__all__ = ["ProgressView", "open_listener", "open_view"]

_INTERVAL = 0.25
"""Seconds between two updates of a notebook's line. Each is a message to the browser; four a second
look continuous. Chosen by eye."""


class _Show(Protocol):
    def __call__(self, done: int, state: str) -> None: ...


_View = Callable[[int], contextlib.AbstractContextManager[_Show]]


@dataclass(frozen=True)
class ProgressView:
    """A view of another program, such as the bar of a window.

    Unlike a listener, it counts the steps of all fits, and the fits run the programs that JAX keeps
    on disk.

    Attributes:
      open: function of the number of steps of all fits; returns a context manager, which gives the
        function to call as ``show(done, state)`` with the number of finished steps and a phrase. An
        exception that this function raises ends the fit.
    """

    open: _View


@contextlib.contextmanager
def open_listener(
    progress: Progress | ProgressView | bool | None, fits: int, steps: int
) -> Iterator[Progress | None]:
    """Yield the listener that ``progress`` asks for, and remove what it shows at the end.

    Args:
      progress: the caller's listener, which is yielded as it is; a view, which is opened; True for
        a bar wherever one can be drawn; None for a bar only in the main thread of the main process,
        unless ``S3NET_QUIET`` is set; False for none.
      fits: number of fits, at least 0.
      steps: number of steps of each fit.
    """
    if callable(progress):
        yield progress
        return
    with open_view(progress, fits * steps) as show:
        yield None if show is None else _Counter(fits, steps, show)


@contextlib.contextmanager
def open_view(progress: ProgressView | bool | None, total: int) -> Iterator[_Show | None]:
    """Yield the function ``show(done, state)`` of a bar or view, and remove the bar at the end.

    Args:
      progress: as for :func:`open_listener`, without listeners.
      total: number that stands for the whole; with 0, nothing is shown.
    """
    if isinstance(progress, ProgressView):
        view = progress.open if total else None
    else:
        is_shown = progress or (progress is None and _is_wanted())
        view = _choose_view() if total and is_shown else None
    if view is None:
        yield None
        return
    with view(total) as show:
        yield show


def _is_wanted() -> bool:
    """Return whether to show a bar that nobody asked for. Several bars would overwrite each other,
    so threads and child processes show none."""
    return (
        os.environ.get("S3NET_QUIET", "") in ("", "0")
        and threading.current_thread() is threading.main_thread()
        and multiprocessing.parent_process() is None
    )


def _choose_view() -> _View | None:
    """Return how to show progress here; None if nothing can be redrawn."""
    if _find_notebook() is not None:
        return _open_line
    # A closed or replaced stream may lack the method.
    is_terminal = getattr(sys.stderr, "isatty", lambda: False)()
    return _open_bar if is_terminal and os.environ.get("TERM") != "dumb" else None


def _find_notebook() -> Any:
    """Return the shell of a notebook's kernel; None elsewhere, IPython in a terminal included."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


class _Counter:
    """Listener that adds up the steps of all fits, from the reports of one batch after another."""

    def __init__(self, fits: int, steps: int, show: _Show) -> None:
        self._fits, self._steps, self._show = fits, steps, show
        self._finished = self._batch = self._step = 0
        show(0, "compiling")

    def __call__(self, step: int, record: dict[str, Any]) -> None:
        if step <= self._step:  # a new batch
            self._finished += self._batch
        self._step, self._batch = step, record["fits"]
        if record["running"] == 0:  # an early stop
            step = self._steps
        # Fits that are repeated, after divergence or for want of memory, are not counted twice.
        done = min(self._finished * self._steps + self._batch * step, self._fits * self._steps)
        if done == self._fits * self._steps:
            self._show(done, "masks")
            return
        which = f"fit {min(self._finished + self._batch, self._fits)} of {self._fits}, "
        # The training of a method on many images may count no labels.
        labels = f"{record['labels']} labels, " if "labels" in record else ""
        state = f"step {step}/{self._steps}, {labels}loss {record['loss']:.3f}"
        self._show(done, state if self._fits == 1 else which + state)


@contextlib.contextmanager
def _open_bar(total: int) -> Iterator[_Show]:
    """Draw a bar on stderr, and erase it at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    bar = Bar(
        BarColumn(bar_width=24),
        TextColumn("{task.fields[state]}", markup=False),
        TimeElapsedColumn(),
        # rich's own choice for notebooks needs ipywidgets.
        console=Console(file=sys.stderr, force_jupyter=False),
        # What is printed meanwhile goes above the bar; piped output must stay in its pipe.
        redirect_stdout=sys.stdout.isatty(),
        transient=True,
    )
    task = bar.add_task("", total=total, state="compiling")
    with bar:
        yield lambda done, state: bar.update(task, completed=done, state=state)


_line: tuple[Any, Any] | None = None
"""The cell (its execution count) and the handle of the last line: a loop in a cell reuses it."""


@contextlib.contextmanager
def _open_line(total: int) -> Iterator[_Show]:
    """Show a line of plain text below a notebook's cell, and empty it at the end.

    Bars of rich and tqdm need ipywidgets in a notebook, and leave widgets in the stored file.
    """
    global _line
    from IPython.display import display

    cell = _find_notebook().execution_count
    if _line is None or _line[0] != cell:
        _line = cell, display({"text/plain": ""}, raw=True, display_id=True)
    handle = _line[1]
    began = last = time.monotonic()

    def show(done: int, state: str) -> None:
        nonlocal last
        now = time.monotonic()
        if done in (0, total) or now - last >= _INTERVAL:
            last = now
            text = f"{100 * done // total:3d} %, {state}, {now - began:.0f} s"
            handle.update({"text/plain": text}, raw=True)

    try:
        yield show
    finally:
        handle.update({"text/plain": ""}, raw=True)
