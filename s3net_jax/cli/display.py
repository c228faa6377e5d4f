"""Show the progress of a run: live on a terminal, as plain lines elsewhere, or as JSON."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from s3net_jax.cli.pace import Pace, format_progress
from s3net_jax.config import Config
from s3net_jax.run import Source, Summary
from s3net_jax.schema import FailedRecord, FinishedRecord, ResultRecord
from s3net_jax.text import escape_unseen, format_duration, format_json_line

if TYPE_CHECKING:
    from rich.progress import TaskID

__all__ = [
    "JsonDisplay",
    "LiveDisplay",
    "PlainDisplay",
    "QuietDisplay",
    "format_summary",
]

_CHOICE = "masks"
"""Phase after the last step of a batch, in which targets are chosen and outlines redrawn."""


class QuietDisplay:
    """Print only failures, to stderr."""

    step: Callable[[int, dict[str, Any]], None] | None = None

    def begin(self, count: int) -> None:
        self.count = count

    def start(self, index: int, source: Source) -> None:
        pass

    def report_done(self, index: int, record: FinishedRecord) -> None:
        pass

    def report_failed(self, index: int, record: FailedRecord) -> None:
        _print(f"s3net: {record['error']}", error=True)

    def report_skipped(self, index: int, record: ResultRecord) -> None:
        pass

    def show_phase(self, name: str, done: int = 0, total: int | None = None) -> None:
        pass

    def show_pieces(self, index: int, noun: str, done: int, total: int) -> None:
        pass

    def show_training(self, step: int, steps: int, loss: float) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def finish(self, summary: Summary) -> None:
        pass

    def close(self) -> None:
        """Restore the terminal."""


class PlainDisplay(QuietDisplay):
    """Print a line for each input, and repeat the failures at the end."""

    def __init__(self, config: Config, seed: int, seeds: int = 1) -> None:
        side, channels, members = config.input.size, config.model.channels, config.fit.members
        steps = (
            f"{config.fit.steps} steps"
            if members == 1
            else (f"{members} fits of {config.fit.steps} steps")
        )
        which = f"seed {seed}" if seeds == 1 else f"seeds {seed} to {seed + seeds - 1}"
        self._paces: dict[int, tuple[str, Pace]] = {}
        self._heading = (
            f"preset {config.preset}: {side}×{side} pixels, {channels} channels, {steps}, {which}"
        )

    def begin(self, count: int) -> None:
        super().begin(count)
        print(self._heading, flush=True)

    def start(self, index: int, source: Source) -> None:
        self._paces[index] = str(source.path), Pace()

    def show_pieces(self, index: int, noun: str, done: int, total: int) -> None:
        name, pace = self._paces[index]
        pace.report(done, total)
        if pace.is_due():
            self._say(index, f"{name}: {format_progress(pace, noun)}")

    def report_done(self, index: int, record: FinishedRecord) -> None:
        clusters = "1 cluster" if record["labels"] == 1 else f"{record['labels']} clusters"
        target = f"target {100 * record['area_fraction']:.1f} %" if record["area"] else "no target"
        size = f"{record['width']}×{record['height']}"
        size += f"×{record['depth']} voxels" if "depth" in record else " pixels"
        agreed = ""
        if "agreement" in record:
            agreed = f"seeds agree on {100 * record['agreement']:.0f} %, "
        work = f"{record['steps']} steps" if record["steps"] else "predicted"
        if "expected_dsc" in record:
            advice = ": check this mask" if record.get("check") else ""
            agreed += f"expected DSC {record['expected_dsc']:.2f}{advice}, "
        self._say(
            index,
            f"{record['input']}: {clusters}, {target} of {size}, {agreed}{work}, "
            f"{format_duration(record['seconds'])}",
        )
        for note in record["notes"]:
            _print(f"{self._format_number(index, blank=True)} note: {note}", error=True)

    def report_failed(self, index: int, record: FailedRecord) -> None:
        _print(f"{self._format_number(index)} FAILED: {record['error']}", error=True)

    def report_skipped(self, index: int, record: ResultRecord) -> None:
        self._say(
            index, f"{record.get('input')}: kept from an earlier run (--overwrite replaces it)"
        )

    def show_phase(self, name: str, done: int = 0, total: int | None = None) -> None:
        if done == 0 and total is not None:
            noun = "network" if name == "training" else "image"
            _print(f"{name}: {total} {noun}{'' if total == 1 else 's'}")

    def show_training(self, step: int, steps: int, loss: float) -> None:
        if _completes_tenth(step, steps):
            _print(f"training: step {step}/{steps}, loss {loss:.3f}")

    def say(self, text: str) -> None:
        _print(f"note: {text}", error=True)

    def finish(self, summary: Summary) -> None:
        _print(format_summary(summary))
        if self.count > 1:  # failures may have scrolled out of sight
            for sentence in summary.failures:
                _print(f"  failed: {sentence}", error=True)

    def _say(self, index: int, text: str) -> None:
        _print(f"{self._format_number(index)} {text}")

    def _format_number(self, index: int, blank: bool = False) -> str:
        width = len(str(self.count))
        text = f"[{index + 1:>{width}}/{self.count}]"
        return " " * len(text) if blank else text


class LiveDisplay(PlainDisplay):
    """Add a live table on stderr to :class:`PlainDisplay`.

    The first row counts the inputs that are done, running and failed, and shows the speed and the
    remaining time. The second row shows the steps of the current batch, and a third one the slices
    or tiles of the input that is fitted, with the remaining time. A further row appears for work
    after the last step or after all fits.
    """

    def __init__(self, config: Config, seed: int, seeds: int = 1) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        super().__init__(config, seed, seeds)
        self.step: Callable[[int, dict[str, Any]], None] | None = self._show_step
        self._steps = config.fit.steps
        self._done = self._failed = self._skipped = self._opened = 0
        self._phase: tuple[str, TaskID] | None = None
        self._pieces: tuple[int, TaskID] | None = None  # input whose pieces are shown, and its row
        self._phase_lock = threading.Lock()  # several threads report phases
        self._progress = Progress(
            TextColumn("{task.fields[what]}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}", markup=False),
            TimeElapsedColumn(),
            console=Console(file=sys.stderr),
            # Show printed lines above the display, but leave piped output in its pipe.
            redirect_stdout=sys.stdout.isatty(),
            redirect_stderr=True,
            transient=True,
        )

    def begin(self, count: int) -> None:
        super().begin(count)
        self._began = time.monotonic()
        self._all = self._progress.add_task("", total=count, what="inputs", state="")
        self._one = self._progress.add_task("", total=self._steps, what="fits", state="")
        self._progress.update(self._all, visible=count > 1)
        self._progress.start()

    def start(self, index: int, source: Source) -> None:
        super().start(index, source)
        self._opened += 1
        if self._opened == 1:
            self._progress.update(self._one, state="compiling")
        self._show_counts()

    def report_done(self, index: int, record: FinishedRecord) -> None:
        self._done += 1
        self._remove_pieces(index)
        super().report_done(index, record)
        self._show_counts()

    def report_failed(self, index: int, record: FailedRecord) -> None:
        self._failed += 1
        self._remove_pieces(index)
        super().report_failed(index, record)
        self._show_counts()

    def report_skipped(self, index: int, record: ResultRecord) -> None:
        self._skipped += 1
        super().report_skipped(index, record)
        self._show_counts()

    def show_pieces(self, index: int, noun: str, done: int, total: int) -> None:
        pace = self._paces[index][1]
        pace.report(done, total)
        if self._pieces is not None and (done == total or self._pieces[0] != index):
            self._remove_pieces(self._pieces[0])
        if done == total:
            return
        if self._pieces is None:
            self._pieces = index, self._progress.add_task("", what=f"{noun}s", state="")
        state = format_progress(pace)
        self._progress.update(self._pieces[1], completed=done, total=total, state=state)

    def _remove_pieces(self, index: int) -> None:
        if self._pieces is not None and self._pieces[0] == index:
            self._progress.remove_task(self._pieces[1])
            self._pieces = None

    def _show_counts(self) -> None:
        completed = self._done + self._failed + self._skipped
        running = self._opened - self._done - self._failed
        seconds = time.monotonic() - self._began
        state = f"{completed}/{self.count}: {self._done} done, {running} running"
        state += f", {self._failed} failed" if self._failed else ""
        processed = self._done + self._failed
        if self._done:
            state += f", {60 * self._done / seconds:.1f} per minute"
            state += f", {format_duration(seconds / processed * (self.count - completed))} left"
        self._progress.update(self._all, completed=completed, state=state)

    def show_phase(self, name: str, done: int = 0, total: int | None = None) -> None:
        with self._phase_lock:
            if self._phase is None or self._phase[0] != name:
                self._remove_phase()
                # Without a total, the bar is animated.
                self._phase = name, self._progress.add_task("", total=total, what=name, state="")
                self._progress.update(self._one, visible=name == _CHOICE)
            state = "" if total is None else f"{done}/{total}"
            self._progress.update(self._phase[1], completed=done, state=state)

    def show_training(self, step: int, steps: int, loss: float) -> None:
        self.show_phase("training", step, steps)

    def _remove_phase(self) -> None:
        if self._phase is not None:
            self._progress.remove_task(self._phase[1])
            self._phase = None

    def _show_step(self, step: int, record: dict[str, Any]) -> None:
        state = f"{record['running']} at once  step {step}/{self._steps}  "
        state += f"{record['labels']:2d} labels  loss {record['loss']:.3f}"
        self._progress.update(self._one, completed=step, state=state, visible=True)
        if step == self._steps:
            self.show_phase(_CHOICE)
            return
        with self._phase_lock:
            self._remove_phase()

    def close(self) -> None:
        self._progress.stop()


class JsonDisplay(QuietDisplay):
    """Print one JSON object per line to stdout; ``event`` names its kind."""

    def __init__(self) -> None:
        self._paces: dict[int, tuple[str, Pace]] = {}

    def report_done(self, index: int, record: FinishedRecord) -> None:
        self._emit("done", record)

    def report_failed(self, index: int, record: FailedRecord) -> None:
        self._emit("failed", record)

    def report_skipped(self, index: int, record: ResultRecord) -> None:
        self._emit("skipped", record)

    def start(self, index: int, source: Source) -> None:
        self._paces[index] = str(source.path), Pace()

    def show_pieces(self, index: int, noun: str, done: int, total: int) -> None:
        name, pace = self._paces[index]
        before = pace.done
        pace.report(done, total)
        if 10 * done // total > 10 * before // total:
            left = None if pace.seconds_left is None else round(pace.seconds_left, 3)
            content = {"input": name, "done": done, "total": total, "seconds_left": left}
            self._emit(f"{noun}s", content)

    def show_training(self, step: int, steps: int, loss: float) -> None:
        if _completes_tenth(step, steps):
            shown = round(loss, 6) if math.isfinite(loss) else None
            self._emit("training", {"step": step, "steps": steps, "loss": shown})

    def say(self, text: str) -> None:
        self._emit("note", {"text": text})

    def finish(self, summary: Summary) -> None:
        counts = {"done": summary.done, "skipped": summary.skipped, "failed": summary.failed}
        counts |= {"to_check": summary.to_check} if summary.assessed else {}
        content = {"out": str(summary.out), **counts, "seconds": summary.seconds}
        if summary.report is not None:
            content["report"] = str(summary.report)
        self._emit("finished", content)

    def _emit(self, event: str, content: Mapping[str, object]) -> None:
        print(format_json_line({"event": event, **content}), flush=True)


def _completes_tenth(step: int, steps: int) -> bool:
    """Return whether another tenth of all steps is done with ``step``: ten lines are enough."""
    return 10 * step // steps > 10 * (step - 1) // steps


def _print(text: str, error: bool = False) -> None:
    print(escape_unseen(text), file=sys.stderr if error else sys.stdout, flush=True)


def format_summary(summary: Summary) -> str:
    """Format the counts of a run, such as ``3 done, 1 of 3 to check in 41.2 s; results in out``."""
    counts = [f"{summary.done} done"]
    counts += [f"{summary.skipped} kept"] if summary.skipped else []
    counts += [f"{summary.failed} failed"] if summary.failed else []
    counts += [f"{summary.to_check} of {summary.assessed} to check"] if summary.assessed else []
    return f"{', '.join(counts)} in {format_duration(summary.seconds)}; results in {summary.out}"
