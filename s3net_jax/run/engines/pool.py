"""Distribute chunks over workers that may die: retry what was lost, give up what keeps failing.

The workers are a :class:`Pool`'s: processes of this machine, or actors of a cluster.
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

_ATTEMPTS = 3  # workers that a chunk may cost before its pieces are tried one by one

ONE_CORE = {"PJRT_NPROC": "1", "JAX_PLATFORMS": "cpu"}
"""Environment of a worker with one core: XLA would else start a thread for every core it sees."""

Answer = tuple[list[Outcome], list[str]]
"""Outcomes, and messages for the user."""


class Worker:
    """What runs in a worker: fits what it is given, on one device or core."""

    def __init__(self, config: Config, batch: int | None) -> None:
        mend_cache()
        self._messages: list[str] = []
        self._fitter = Fitter(config, batch, None, self._messages.append)

    def fit(self, pieces: list[Piece]) -> Answer:
        """An outcome for each piece."""
        outcomes = self._fitter.fit(pieces)
        messages = list(self._messages)
        self._messages.clear()
        return outcomes, messages


class Pool(Protocol):
    """Workers, and how to talk to them."""

    def grow(self) -> list[Any]:
        """New workers, all of them idle, where there is room: asked for when there is work and
        none is idle."""
        ...

    def workers(self) -> list[Any]:
        """Those that live."""
        ...

    def send(self, worker: Any, pieces: list[Piece]) -> Any:
        """Gives an idle worker its work. Returns a ticket, which can be hashed."""
        ...

    def wait(self, tickets: list[Any]) -> list[Any]:
        """Tickets whose answer is there, or never will be; waits for about a second at most.
        Without tickets, work waits for room."""
        ...

    def receive(self, ticket: Any) -> Answer:
        """The answer; raises :class:`LostWorkerError`, or what went wrong in the worker."""
        ...

    def drop(self, worker: Any) -> None:
        """Lets go of a worker that was lost."""
        ...


@dataclass(eq=False)
class _Order:
    """A chunk, or one piece of a chunk that cost several workers, and where it stands."""

    chunk: Chunk
    places: list[int]
    attempts: int = 0


def distribute_chunks(
    chunks: Iterable[Chunk], pool: Pool, say: Callable[[str], None]
) -> Iterator[tuple[Chunk, list[Outcome]]]:
    """Yield every chunk with its outcomes, as they come; read ``chunks`` as workers become idle.

    A chunk whose worker dies goes to another one; after three deaths its pieces go one by one,
    and a piece that takes three more with it fails alone.

    Raises:
      ConfigError, OutputError: a worker met one; the others' work is not waited for.
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
    """Receive the outcomes of an order; None if it has to be done again."""
    try:
        outcomes, messages = pool.receive(ticket)
    except (ConfigError, OutputError):
        raise
    except LostWorkerError as error:
        pool.drop(worker)
        order.attempts += 1
        if order.attempts < _ATTEMPTS:
            say(f"a worker was lost ({error}); its work goes to another one.")
            waiting.appendleft(order)
            return None
        if len(order.places) > 1:
            say(f"{order.attempts} workers were lost over one batch: one by one now.")
            waiting.extend(_Order(order.chunk, [place]) for place in order.places)
            return None
        return [Failed(f"took {order.attempts} workers with it ({error}).")]
    except Exception as error:
        first = str(error).strip().splitlines() or [type(error).__name__]
        return [Failed(f"failed on its worker ({first[0]}).") for _ in order.places]
    for text in messages:
        say(text)
    return outcomes
