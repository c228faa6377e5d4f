"""Distribute chunks over workers that may die; retry lost chunks a limited number of times.

A :class:`Pool` provides the workers: processes on this machine, or actors in a cluster.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, LostWorkerError, OutputError
from s3net_jax.jax_setup import mend_cache
from s3net_jax.run.batches import Chunk
from s3net_jax.run.fitter import Fitter
from s3net_jax.run.outcome import Failed, Outcome, Piece

__all__ = ["ONE_CORE", "Answer", "LostWorkerError", "Pool", "Worker", "distribute_chunks"]

_ATTEMPTS = 3
"""Number of workers that may die on a chunk before its pieces are tried one by one, and on a single
piece before it fails. More than one, since a worker may also die for unrelated reasons."""

ONE_CORE = {"PJRT_NPROC": "1", "JAX_PLATFORMS": "cpu"}
"""Environment of a single-core worker; by default XLA starts a thread for every core it sees."""

Answer = tuple[list[Outcome], list[str]]
"""Outcomes of a chunk, and messages for the user."""


class Worker:
    """The code that runs in a worker and fits pieces on one device or core."""

    def __init__(self, config: Config, batch: int | None) -> None:
        mend_cache()
        self._messages: list[str] = []
        self._fitter = Fitter(config, batch, None, self._messages.append)

    def fit(self, pieces: list[Piece]) -> Answer:
        """Fit pieces; return their outcomes and the messages since the last call."""
        outcomes = self._fitter.fit(pieces)
        messages = list(self._messages)
        self._messages.clear()
        return outcomes, messages


class Pool(Protocol):
    """A set of workers and the means to talk to them."""

    def grow(self) -> list[Any]:
        """Start workers where there is room, and return them; called if work finds no idle one."""
        ...

    def workers(self) -> list[Any]:
        """Return the workers that are alive."""
        ...

    def send(self, worker: Any, pieces: list[Piece]) -> Any:
        """Send pieces to an idle worker; return a hashable ticket for the answer."""
        ...

    def wait(self, tickets: list[Any]) -> list[Any]:
        """Return tickets that are answered or never will be; wait about one second at most.

        Called without tickets if work waits for a worker to start.
        """
        ...

    def receive(self, ticket: Any) -> Answer:
        """Return the answer to a ticket.

        Raises:
          LostWorkerError: the worker died.
          Exception: the error that the worker met.
        """
        ...

    def drop(self, worker: Any) -> None:
        """Remove a worker that was lost."""
        ...


@dataclass(eq=False)
class _Order:
    """A chunk to fit, or one piece of it after several lost workers.

    Attributes:
      chunk: the chunk.
      places: numbers of the chunk's jobs to fit.
      attempts: number of workers that died on this order.
    """

    chunk: Chunk
    places: list[int]
    attempts: int = 0


def distribute_chunks(
    chunks: Iterable[Chunk], pool: Pool, say: Callable[[str], None]
) -> Iterator[tuple[Chunk, list[Outcome]]]:
    """Fit chunks on the workers of a pool, and yield each with its outcomes when it is finished.

    If a worker dies, another one takes over its chunk. After three deaths the pieces of the chunk
    are fitted one by one, and a piece on which three more workers die fails.

    Args:
      chunks: chunks to fit; read only when a worker is idle.
      pool: workers.
      say: function called with each message for the user.

    Raises:
      ConfigError: a worker raised one; the work of the others is abandoned.
      OutputError: as ConfigError.
    """
    source = iter(chunks)
    waiting: deque[_Order] = deque()
    flying: dict[Any, tuple[_Order, Any]] = {}
    results: dict[Chunk, dict[int, Outcome]] = {}
    idle: deque[Any] = deque()
    more = True
    while True:
        if more and not waiting:
            chunk = next(source, None)
            if chunk is None:
                more = False
            else:
                waiting.append(_Order(chunk, list(range(len(chunk.jobs)))))
        if waiting and not idle:
            idle.extend(pool.grow())
        if waiting and idle:
            order, worker = waiting.popleft(), idle.popleft()
            pieces = [order.chunk.jobs[n].piece for n in order.places]
            flying[pool.send(worker, pieces)] = order, worker
            continue
        if not waiting and not flying:
            return
        for ticket in pool.wait(list(flying)):
            order, worker = flying.pop(ticket)
            outcomes = _receive_outcomes(pool, ticket, order, worker, waiting, say)
            if worker in pool.workers():
                idle.append(worker)
            if outcomes is None:
                continue
            known = results.setdefault(order.chunk, {})
            known.update(zip(order.places, outcomes, strict=True))
            if len(known) == len(order.chunk.jobs):
                found = results.pop(order.chunk)
                yield order.chunk, [found[n] for n in range(len(found))]


def _receive_outcomes(
    pool: Pool,
    ticket: Any,
    order: _Order,
    worker: Any,
    waiting: deque[_Order],
    say: Callable[[str], None],
) -> list[Outcome] | None:
    """Receive the outcomes of an order; return None after putting lost work back into the queue."""
    try:
        outcomes, messages = pool.receive(ticket)
    except (ConfigError, OutputError):
        raise
    except LostWorkerError as error:
        pool.drop(worker)
        order.attempts += 1
        if order.attempts < _ATTEMPTS:
            say(f"a worker was lost ({error}); another one takes over its work.")
            waiting.appendleft(order)
            return None
        if len(order.places) > 1:
            say(f"one batch lost {order.attempts} workers; fitting its images one by one.")
            waiting.extend(_Order(order.chunk, [place]) for place in order.places)
            return None
        return [Failed(f"failed because {order.attempts} workers died on it ({error}).")]
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        return [Failed(f"failed on a worker ({first[0]}).") for _ in order.places]
    for text in messages:
        say(text)
    return outcomes
