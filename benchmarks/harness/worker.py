"""One candidate in a process of its own, called whenever its turn comes.

Two frameworks in one process disturb one another: they share the allocator, and pieces of memory
that one gives back are what the other gets. Each candidate therefore lives in a process of its
own, as its users have it, and all take turns. Not so on a GPU, whose memory all would have to
share: there they take turns in one process, and only compile times and peaks are taken in
processes of their own, a few at once. What each framework allocates does not depend on the others;
compile times are a little longer for it.

A turn is two calls, of which the second is timed. While the others have theirs, a virtual machine
hands the memory that a candidate gave back to its host, and taking it again costs as much as half
a step: what is timed is a call as a loop has it. Candidates of which that is little
(:attr:`benchmarks.harness.candidates.Candidate.long`) are called once.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

import jax

from benchmarks.harness.candidates import KEPT, OURS, Candidate, build
from benchmarks.harness.machine import hold_little_memory, is_on_gpu, measure_peak
from s3net_kernels import keep_memory
from s3net_kernels.testing import describe_error, interleave, take_turns

__all__ = ["Found", "Measured", "Worker", "add_rows", "end_without_ours", "measure"]

_PROCESSES = 4
"""At once on a GPU: their memory lies there side by side."""


class Measured(NamedTuple):
    seconds: list[float]
    """Of every call."""
    compile_s: float
    peak_mib: float
    """Above the same process before it built anything."""


class Worker:
    """A process that has built ``candidate`` and calls it when asked; a context.

    Raises:
      RuntimeError: the process ended; the message is the last line of what it said that names an
        error, or the last one.
    """

    def __init__(self, candidate: Candidate) -> None:
        argument = json.dumps(dataclasses.asdict(candidate))
        # Not a pipe, which could run full.
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker", argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            env=_build_environment(candidate),
        )
        try:
            self.compile_s = self._answer()
        except RuntimeError:
            self.__exit__()
            raise

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def call(self) -> float:
        """Seconds of one call; one that is not timed may go before."""
        return self._ask("call")

    def peak(self) -> float:
        """MiB at the peak until now, above the process before it built anything."""
        return self._ask("peak")

    def _ask(self, what: str) -> float:
        assert self._process.stdin is not None
        # An ended process gives no answer, and why it ended.
        with suppress(BrokenPipeError):
            print(what, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return float(line)
        code = self._process.wait()
        self._said.seek(0)
        said = [text for text in self._said.read().splitlines() if text.strip()]
        # A message may go on after the line that names the error.
        said = [text for text in said if re.match(r"[\w.]+(Error|Exception)\b", text)] or said
        if code == -signal.SIGKILL:
            raise RuntimeError("killed, most likely out of memory")
        raise RuntimeError(said[-1] if said and code > 0 else f"ended with exit code {code}")


def _build_environment(candidate: Candidate) -> dict[str, str]:
    """Without the programs that earlier runs left: compile times of a step are shown. On a GPU they
    are needed again, by the process that takes the turns: gpu.sh gives each piece a new folder."""
    if candidate.suite != "step" or is_on_gpu():
        return dict(os.environ)
    off = {"JAX_ENABLE_COMPILATION_CACHE": "false", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    return {**os.environ, **off}


class Found(NamedTuple):
    measured: dict[str, Measured]
    left_out: dict[str, str]
    """Name of a candidate that failed to why."""


def measure(candidates: Mapping[str, Candidate], repeats: int, limit_s: float = math.inf) -> Found:
    """Call all in turns; one that fails is left out, with a line on standard error.

    Args:
      candidates: name to candidate.
      repeats: timed calls of each, after one that is not.
      limit_s: as of :func:`s3net_kernels.testing.timing.take_turns`.
    """
    take = _measure_in_one_process if is_on_gpu() else _measure_in_processes
    found = take(candidates, repeats, limit_s)
    for name, why in found.left_out.items():
        print(f"Left out: {name}: {why}", file=sys.stderr)
    return found


def add_rows(
    content: dict[str, Any], preset: str, rows: dict[str, Any], left_out: dict[str, str]
) -> bool:
    """Put what was measured of a preset, and what was left out, into a result file's content;
    False if nothing was measured."""
    if left_out:
        content.setdefault("left_out", {})[preset] = left_out
    if rows:
        content["presets"][preset] = rows
    return bool(rows)


def end_without_ours(content: Mapping[str, Any]) -> None:
    """End with 1 where ours was left out, or all were: such a result is none of ours."""
    failed = []
    for preset, left_out in content.get("left_out", {}).items():
        measured = content["presets"].get(preset, {})
        ours = [name for name in left_out if name.startswith(OURS)]
        none_left = ours and not any(name.startswith(OURS) for name in measured)
        if not measured or OURS in ours or none_left:
            failed.append(preset)
    if failed:
        sys.exit(f"{OURS} or every candidate failed for {', '.join(failed)}: see above.")


def _measure_in_processes(
    candidates: Mapping[str, Candidate], repeats: int, limit_s: float
) -> Found:
    left_out: dict[str, str] = {}
    with ExitStack() as stack:
        workers: dict[str, Worker] = {}
        for name, candidate in candidates.items():
            with _note_failure(name, left_out):
                workers[name] = _start_warm(stack, candidate)
        calls = {name: worker.call for name, worker in workers.items()}
        seconds = take_turns(calls, repeats=repeats, warm=0, limit_s=limit_s, left_out=left_out)
        measured: dict[str, Measured] = {}
        for name, taken in seconds.items():
            with _note_failure(name, left_out):
                peak = workers[name].peak()
                measured[name] = Measured(taken, workers[name].compile_s, peak)
    return Found(measured, left_out)


def _start_warm(stack: ExitStack, candidate: Candidate) -> Worker:
    worker = stack.enter_context(Worker(candidate))
    worker.call()
    return worker


def _measure_in_one_process(
    candidates: Mapping[str, Candidate], repeats: int, limit_s: float
) -> Found:
    left_out: dict[str, str] = {}
    alone: dict[str, tuple[float, float]] = {}

    def call_once(name: str) -> None:
        with _note_failure(name, left_out):
            alone[name] = _measure_alone(candidates[name])

    # Before this process takes memory, which it would not give back. Threads only wait here.
    with ThreadPoolExecutor(_PROCESSES) as pool:
        list(pool.map(call_once, candidates))
    runs: dict[str, Callable[[], object]] = {}
    for name in candidates:
        if name in alone:
            with _note_failure(name, left_out):
                runs[name] = build(candidates[name])[0]
    seconds = interleave(runs, repeats=repeats, limit_s=limit_s, left_out=left_out)
    return Found({name: Measured(s, *alone[name]) for name, s in seconds.items()}, left_out)


def _measure_alone(candidate: Candidate) -> tuple[float, float]:
    """Seconds of its compilation, and its peak memory."""
    with Worker(candidate) as worker:
        worker.call()
        return worker.compile_s, worker.peak()


@contextmanager
def _note_failure(name: str, left_out: dict[str, str]) -> Iterator[None]:
    """What fails inside is noted, and nothing else ends."""
    try:
        yield
    except Exception as error:
        left_out[name] = describe_error(error)


def _serve(candidate: Candidate) -> None:
    # What anybody prints goes to standard error: standard output has the answers alone.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: float) -> None:
        print(value, file=answers, flush=True)

    hold_little_memory()
    if candidate.name.endswith(KEPT) and not keep_memory():
        sys.exit("This system's C library can't be told to keep memory.")
    jax.devices()
    if candidate.torch:
        import torch  # noqa: F401
    idle = measure_peak()
    run, seconds = build(candidate)
    answer(seconds)
    for line in sys.stdin:
        if line.strip() == "peak":
            answer(measure_peak() - idle)
            continue
        if not candidate.long:
            run()
        start = time.perf_counter()
        run()
        answer(time.perf_counter() - start)


def main() -> None:
    asked: dict[str, Any] = json.loads(sys.argv[1])
    _serve(Candidate(**asked))


if __name__ == "__main__":
    main()
