"""Fit chunks in worker processes on this machine, one for each core.

Two cores finish two fits faster than one fit after the other on both cores, because a single fit is
not fully parallel and waits for main memory (measured by ``benchmarks.suites.many``).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, LostWorkerError
from s3net_jax.io import get_limits
from s3net_jax.jax_setup import get_platform
from s3net_jax.run.batches import Chunk
from s3net_jax.run.engines.interpreter import find_interpreter
from s3net_jax.run.engines.pool import ONE_CORE, Answer, distribute_chunks
from s3net_jax.run.engines.worker import READY
from s3net_jax.run.fitter import Progress
from s3net_jax.run.memory import count_processes
from s3net_jax.run.outcome import Outcome, Piece
from s3net_jax.schema import EngineRecord

__all__ = ["ProcessEngine"]


class ProcessEngine:
    """An engine with one process for each core, limited by memory; started when there is work."""

    def __init__(
        self,
        config: Config,
        *,
        workers: int | None = None,
        batch: int | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Check that workers can be started.

        Args:
          config: configuration of all fits.
          workers: number of processes; None: one for each usable core, limited by memory.
          batch: number of fits at once in each process; None: one.
          say: function called with each message for the user.

        Raises:
          ConfigError: JAX uses another backend than the CPU, or there is no Python interpreter to
            start.
        """
        if get_platform() != "cpu":
            raise ConfigError(
                f"--engine processes requires the CPU backend, but JAX is using {get_platform()}: "
                "drop --engine, or set JAX_PLATFORMS=cpu."
            )
        find_interpreter()  # raises ConfigError before the run starts if there is none
        self._config, self._limit, self._batch, self._say = config, workers, batch, say
        self._pool: _Processes | None = None

    def size(self) -> int:
        return self._batch or 1

    def run(
        self, chunks: Iterable[Chunk], progress: Progress | None
    ) -> Iterator[tuple[Chunk, list[Outcome]]]:
        source = iter(chunks)
        first = next(source, None)
        if first is None:
            return
        if self._pool is None:
            shape = first.jobs[0].image.shape
            limit = self._limit or count_processes(self._config, shape, self.size())
            orders = self._config, self._batch, _read_settings(), get_limits()
            self._pool = _Processes(limit, orders)
        yield from distribute_chunks(itertools.chain([first], source), self._pool, self._say)

    def describe(self) -> EngineRecord:
        return {
            "engine": "processes",
            "batch": self._batch or "auto",
            "workers": len(self._pool.workers()) if self._pool else 0,
        }

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


_NUMERIC = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_numpy_dtype_promotion",
    "jax_threefry_partitionable",
)
"""JAX settings that may affect results. A program may set them after its start, so environment
variables do not pass them on to workers."""


def _read_settings() -> dict[str, Any]:
    import jax

    values = ((name, getattr(jax.config, name, None)) for name in _NUMERIC)
    return {name: value for name, value in values if value is not None}


_SERVE = "from s3net_jax.run.engines.worker import serve; serve()"


class _Arrival(NamedTuple):
    """The answer of a worker; None if the worker has died."""

    worker: _Process
    answer: Any


class _Process:
    """One worker (:mod:`.worker`), its pipes, and a thread that reads its answers."""

    def __init__(self, arguments: tuple[Any, ...], arrived: queue.SimpleQueue[_Arrival]) -> None:
        path = [entry for entry in sys.path if isinstance(entry, str)]
        code = f"import sys; sys.path[:] = {path!a}; {_SERVE}"
        with _hold_signals():
            self.process = subprocess.Popen(
                [*find_interpreter(), "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **ONE_CORE},
            )
        self.ready = self.dead = False
        self.answer: Any = None
        self._arrived = arrived
        try:
            threading.Thread(target=self._listen, name="s3net-answers", daemon=True).start()
        except RuntimeError:
            self.end()
            raise
        self.send(arguments)

    def send(self, content: Any) -> None:
        """Send an object to the worker; does nothing if it has died, which ``_listen`` reports."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            pickle.dump(content, self.process.stdin, pickle.HIGHEST_PROTOCOL)
            self.process.stdin.flush()

    def _listen(self) -> None:
        pipe = self.process.stdout
        assert pipe is not None
        while True:
            try:
                answer = pickle.load(pipe)
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):
                self.dead = True
                self._arrived.put(_Arrival(self, None))
                return
            if answer == READY:
                self.ready = True
            else:
                self._arrived.put(_Arrival(self, answer))

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError, ValueError):
                pipe.close()


@contextlib.contextmanager
def _hold_signals() -> Iterator[None]:
    """Block SIGINT and SIGHUP, so that processes started meanwhile inherit the block.

    Ctrl-C and a closed terminal signal the whole process group. Workers must not react: they end
    with their parent, which may still want their answers.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Processes:
    """Pool for :func:`distribute_chunks`; a worker has one task at a time and is its own ticket."""

    def __init__(self, limit: int, arguments: tuple[Any, ...]) -> None:
        self._limit, self._arguments = limit, arguments
        self._arrived: queue.SimpleQueue[_Arrival] = queue.SimpleQueue()
        self._workers: list[_Process] = []
        self._started = False

    def grow(self) -> list[_Process]:
        if len(self._workers) >= self._limit:
            return []
        try:
            self._workers.append(_Process(self._arguments, self._arrived))
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread can be started
            if not self._workers:
                reason = (getattr(error, "strerror", None) or str(error)).lower()
                raise ConfigError(
                    f"Worker processes can't be started ({reason}): drop --engine."
                ) from None
            self._limit = len(self._workers)  # the system allows no more
            return []
        return self._workers[-1:]

    def workers(self) -> list[_Process]:
        return self._workers

    def send(self, worker: _Process, pieces: list[Piece]) -> _Process:
        # The worker may have died while idle. `wait` drops news of workers without a ticket, so
        # queue it again.
        if worker.dead:
            self._arrived.put(_Arrival(worker, None))
        worker.send(pieces)
        return worker

    def wait(self, tickets: list[_Process]) -> list[_Process]:
        try:
            worker, worker.answer = self._arrived.get(timeout=1.0)
        except queue.Empty:
            return []
        return [worker] if worker in tickets else []

    def receive(self, ticket: _Process) -> Answer:
        answer, ticket.answer = ticket.answer, None
        self._started |= ticket.ready
        if answer is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                ticket.process.wait(1.0)
            how = _describe_ending(ticket.process.returncode)
            if not self._started and (ticket.process.returncode or 0) > 0:
                raise ConfigError(f"Worker processes can't be started ({how}): drop --engine.")
            raise LostWorkerError(how)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def drop(self, worker: _Process) -> None:
        self._workers.remove(worker)
        worker.end()

    def close(self) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.end()
        self._workers.clear()


def _describe_ending(code: int | None) -> str:
    """Describe how a process ended: a signal's name or an exit status."""
    if code is None:
        return "it closed its pipe"
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit status {code}"
