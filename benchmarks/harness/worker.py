"""Run each candidate in a separate process, and time them in turns.

Two frameworks in one process disturb each other, because they share the allocator and reuse each
other's freed memory. Each candidate therefore runs in its own process, as it would for a user. On a
GPU the processes would have to share its memory, so candidates take turns in one process, and only
compile times and peak memory are measured in separate processes, a few at once. This does not
affect what each framework allocates, but compile times are slightly longer.

A turn consists of two calls, of which the second is timed. While other candidates run, a virtual
machine returns freed memory to its host, and getting it back costs up to half a step. The second
call is therefore timed as if in a loop. Candidates for which this barely matters
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
"""Number of processes at once on a GPU, which share its memory."""


class Measured(NamedTuple):
    seconds: list[float]
    """Time of every call."""
    compile_s: float
    peak_mib: float
    """Peak memory above that of the process before it built the candidate."""


class Worker:
    """A process that builds ``candidate`` and calls it on request; a context manager.

    Raises:
      RuntimeError: if the process ended. The message is the last line of its standard error that
        names an error, or else its last line.
    """

    def __init__(self, candidate: Candidate) -> None:
        argument = json.dumps(dataclasses.asdict(candidate))
        # A file instead of a pipe, which could fill up and block the process.
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.harness.worker", argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._output,
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
        self._output.close()

    def call(self) -> float:
        """Time one call in seconds, possibly after an untimed one."""
        return self._ask("call")

    def peak(self) -> float:
        """Return the peak memory so far in MiB, above that of the process before building."""
        return self._ask("peak")

    def _ask(self, what: str) -> float:
        assert self._process.stdin is not None
        # If the process has ended, _answer raises the reason.
        with suppress(BrokenPipeError):
            print(what, file=self._process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return float(line)
        code = self._process.wait()
        self._output.seek(0)
        lines = [text for text in self._output.read().splitlines() if text.strip()]
        # A message may continue after the line that names the error.
        lines = [text for text in lines if re.match(r"[\w.]+(Error|Exception)\b", text)] or lines
        if code == -signal.SIGKILL:
            raise RuntimeError("killed, most likely out of memory")
        raise RuntimeError(lines[-1] if lines and code > 0 else f"ended with exit code {code}")


def _build_environment(candidate: Candidate) -> dict[str, str]:
    """Build the environment of a worker; caches are off where compile time is measured.

    On a GPU the process that takes the turns needs the compiled programs again, so caches stay on;
    ``gpu.sh`` gives each piece a new cache folder instead.
    """
    if candidate.suite != "step" or is_on_gpu():
        return dict(os.environ)
    off = {"JAX_ENABLE_COMPILATION_CACHE": "false", "TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    return {**os.environ, **off}


class Found(NamedTuple):
    measured: dict[str, Measured]
    left_out: dict[str, str]
    """Name of a failed candidate → reason."""


def measure(candidates: Mapping[str, Candidate], repeats: int, limit_s: float = math.inf) -> Found:
    """Time all candidates in turns; failed ones are left out and reported on standard error.

    Args:
      candidates: name → candidate.
      repeats: number of timed calls of each, after an untimed one.
      limit_s: time limit in seconds; see :func:`s3net_kernels.testing.timing.take_turns`.
    """
    take = _measure_in_one_process if is_on_gpu() else _measure_in_processes
    found = take(candidates, repeats, limit_s)
    for name, why in found.left_out.items():
        print(f"Left out: {name}: {why}", file=sys.stderr)
    return found


def add_rows(
    content: dict[str, Any], preset: str, rows: dict[str, Any], left_out: dict[str, str]
) -> bool:
    """Add the rows of a preset, and the candidates left out, to the content of a result file.

    Returns:
      Whether anything was measured.
    """
    if left_out:
        content.setdefault("left_out", {})[preset] = left_out
    if rows:
        content["presets"][preset] = rows
    return bool(rows)


def end_without_ours(content: Mapping[str, Any]) -> None:
    """Exit with 1 if ours or all candidates failed, since such a result is of no use."""
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
    separate: dict[str, tuple[float, float]] = {}

    def call_once(name: str) -> None:
        with _note_failure(name, left_out):
            separate[name] = _measure_separately(candidates[name])

    # Measure before this process allocates memory, which it would not return. Threads only wait.
    with ThreadPoolExecutor(_PROCESSES) as pool:
        list(pool.map(call_once, candidates))
    runs: dict[str, Callable[[], object]] = {}
    for name in candidates:
        if name in separate:
            with _note_failure(name, left_out):
                runs[name] = build(candidates[name])[0]
    seconds = interleave(runs, repeats=repeats, limit_s=limit_s, left_out=left_out)
    return Found({name: Measured(s, *separate[name]) for name, s in seconds.items()}, left_out)


def _measure_separately(candidate: Candidate) -> tuple[float, float]:
    """Measure compile time in seconds and peak memory in MiB."""
    with Worker(candidate) as worker:
        worker.call()
        return worker.compile_s, worker.peak()


@contextmanager
def _note_failure(name: str, left_out: dict[str, str]) -> Iterator[None]:
    """Record an exception raised inside as the reason of failure, and suppress it."""
    try:
        yield
    except Exception as error:
        left_out[name] = describe_error(error)


def _serve(candidate: Candidate) -> None:
    # Redirect all printing to standard error: standard output carries only the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: float) -> None:
        print(value, file=answers, flush=True)

    hold_little_memory()
    if candidate.name.endswith(KEPT) and not keep_memory():
        sys.exit("The C library of this system does not support keeping freed memory.")
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
