"""Chunks on processes of this machine, one a core.

A second core does more for a second fit than for the same one: what is not in parallel, and what
waits for main memory, takes its share (``benchmarks.many`` measures it).
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import Any

from s3net_jax.config import Config, ConfigError
from s3net_jax.io import Limits, OutputError, current_limits, set_limits
from s3net_jax.run.capacity import processes_at_once
from s3net_jax.run.chunks import Chunk
from s3net_jax.run.orders import ONE_CORE, Answer, LostWorkerError, Worker, handed_out
from s3net_jax.run.outcome import Outcome, Piece
from s3net_jax.run.work import Progress

__all__ = ["ProcessEngine"]


class ProcessEngine:
    """One process a core, as the memory holds; started when there is work for them."""

    def __init__(
        self,
        config: Config,
        *,
        workers: int | None = None,
        batch: int | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """``workers``: processes; None: one a core that this process may use, as many as fit into
        the memory. ``batch``: fits at once in each of them; None: one.

        Raises:
          ConfigError: JAX computes on something else than the CPU.
        """
        import jax

        if jax.default_backend() != "cpu":
            raise ConfigError(
                "The engine processes is for processors; JAX computes on "
                f"{jax.default_backend()} here: leave --engine out, or set JAX_PLATFORMS=cpu."
            )
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
            limit = self._limit or processes_at_once(self._config, shape, self.size())
            self._pool = _Processes(limit, (self._config, self._batch, current_limits()))
        yield from handed_out(itertools.chain([first], source), self._pool, self._say)

    def describe(self) -> dict[str, Any]:
        return {
            "engine": "processes",
            "batch": self._batch or "auto",
            "workers": len(self._pool.workers()) if self._pool else 0,
        }

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()


class _Process:
    """One process and the pipe to it."""

    def __init__(self, arguments: tuple[Any, ...]) -> None:
        # A fork would take along JAX's threads, as they were.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *arguments), daemon=True)
        self.process.start()
        theirs.close()  # its end alone keeps the pipe open: both sides see the other's death

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Processes:
    """The pool of :func:`handed_out`. A worker is its own ticket: it does one thing at a time."""

    def __init__(self, limit: int, arguments: tuple[Any, ...]) -> None:
        self._limit, self._arguments = limit, arguments
        self._workers: list[_Process] = []

    def grow(self) -> list[_Process]:
        if len(self._workers) >= self._limit:
            return []
        self._workers.append(_Process(self._arguments))
        return self._workers[-1:]

    def workers(self) -> list[_Process]:
        return self._workers

    def send(self, worker: _Process, pieces: list[Piece]) -> _Process:
        # One that died meanwhile is found out when its answer is read.
        with contextlib.suppress(OSError):
            worker.pipe.send(pieces)
        return worker

    def wait(self, tickets: list[_Process]) -> list[_Process]:
        ready = connection.wait([worker.pipe for worker in tickets], 1.0)
        return [worker for worker in tickets if worker.pipe in ready]

    def receive(self, ticket: _Process) -> Answer:
        try:
            answer = ticket.pipe.recv()
        except (EOFError, OSError):
            ticket.process.join(1.0)
            raise LostWorkerError(_ending(ticket.process.exitcode)) from None
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


def _ending(code: int | None) -> str:
    """How a process ended."""
    if code is None:
        return "it closed its pipe"
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit status {code}"


def _serve(pipe: connection.Connection, config: Config, batch: int | None, limits: Limits) -> None:
    """The process: fits what comes in, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that hands out the work
    os.environ.update(ONE_CORE)  # before JAX looks for devices
    from s3net_kernels import keep_memory

    keep_memory()
    set_limits(limits)
    worker = Worker(config, batch)
    while True:
        try:
            pieces = pipe.recv()
        except (EOFError, OSError):  # the other end is closed, or its process has died
            return
        try:
            answer: Any = worker.fit(pieces)
        except (ConfigError, OutputError) as error:
            answer = error
        except Exception as error:  # of any kind: some can't be sent
            first = (str(error).strip().splitlines() or [""])[0]
            answer = RuntimeError(f"{type(error).__name__}: {first}")
        try:
            pipe.send(answer)
        except OSError:  # nobody reads any more
            return
