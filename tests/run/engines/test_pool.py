"""Test the distribution of chunks to workers that may die, with fake workers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from s3net_jax.config import ConfigError
from s3net_jax.io import from_array
from s3net_jax.run.batches import Chunk, Job
from s3net_jax.run.engines.pool import Answer, LostWorkerError, distribute_chunks
from s3net_jax.run.outcome import Failed, Fitted, Outcome, Piece

IMAGE = from_array(np.arange(64, dtype=np.uint8).reshape(8, 8))


def make_fitted(seed: int) -> Fitted:
    return Fitted(np.full((8, 8), seed, np.int32), {}, 1, None, 0.0)


class Pool:
    """A pool of fake workers; ``act`` decides the answer by the seeds of an order's pieces."""

    def __init__(self, limit: int, act: Callable[[list[int]], Answer]) -> None:
        self.limit, self.act, self.made = limit, act, 0
        self.living: list[int] = []
        self.sent: list[list[int]] = []

    def grow(self) -> list[Any]:
        if len(self.living) == self.limit:
            return []
        self.made += 1
        self.living.append(self.made)
        return [self.made]

    def workers(self) -> list[Any]:
        return self.living

    def send(self, worker: int, pieces: list[Piece]) -> Any:
        self.sent.append([piece.seed for piece in pieces])
        return worker, tuple(self.sent[-1])

    def wait(self, tickets: list[Any]) -> list[Any]:
        return tickets[-1:]  # the last comes first

    def receive(self, ticket: Any) -> Answer:
        return self.act(list(ticket[1]))

    def drop(self, worker: int) -> None:
        self.living.remove(worker)


def make_answer(seeds: list[int]) -> Answer:
    return [make_fitted(seed) for seed in seeds], []


def chunk(*seeds: int) -> Chunk:
    return Chunk(tuple(Job(seed, 0, seed, IMAGE) for seed in seeds))


def handle(pool: Pool, *chunks: Chunk) -> tuple[dict[int, Outcome], list[str]]:
    """Distribute chunks; return the outcome of each seed, and the messages."""
    said: list[str] = []
    found = {}
    for part, outcomes in distribute_chunks(chunks, pool, said.append):
        for job, outcome in zip(part.jobs, outcomes, strict=True):
            assert job.seed not in found
            found[job.seed] = outcome
    return found, said


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_everything_is_done_once_by_no_more_workers_than_there_is_work(limit: int) -> None:
    pool = Pool(limit, lambda seeds: (make_answer(seeds)[0], [f"did {seeds}"]))
    found, said = handle(pool, chunk(0, 1), chunk(2), chunk(3, 4))
    assert sorted(found) == [0, 1, 2, 3, 4]
    for seed, outcome in found.items():
        assert isinstance(outcome, Fitted) and (outcome.labels == seed).all()
    assert sorted(said) == ["did [0, 1]", "did [2]", "did [3, 4]"]
    assert pool.made == min(limit, 3)


def test_nothing_to_do() -> None:
    pool = Pool(2, make_answer)
    assert handle(pool) == ({}, []) and pool.made == 0


def test_work_is_read_when_it_is_needed() -> None:
    read: list[int] = []

    def source():
        for n in range(6):
            read.append(n)
            yield chunk(n)

    results = distribute_chunks(source(), Pool(2, make_answer), lambda text: None)
    for n, _ in enumerate(results):
        assert len(read) <= n + 3  # two chunks are in work, one waits


def test_work_of_a_lost_worker_goes_to_another_one() -> None:
    lost: list[list[int]] = []

    def act(seeds: list[int]) -> Answer:
        if 1 in seeds and len(lost) < 2:
            lost.append(seeds)
            raise LostWorkerError("SIGKILL")
        return make_answer(seeds)

    pool = Pool(2, act)
    found, said = handle(pool, chunk(0), chunk(1, 2), chunk(3))
    assert all(isinstance(outcome, Fitted) for outcome in found.values()) and len(found) == 4
    assert lost == [[1, 2], [1, 2]] and len(pool.living) == 2
    assert said == ["a worker was lost (SIGKILL); another one takes over its work."] * 2


def test_a_piece_that_kills_every_worker_fails_by_itself() -> None:
    def act(seeds: list[int]) -> Answer:
        if 1 in seeds:
            raise LostWorkerError("SIGKILL")
        return make_answer(seeds)

    pool = Pool(1, act)
    found, said = handle(pool, chunk(0, 1, 2), chunk(3))
    assert found[1] == Failed("failed because 3 workers died on it (SIGKILL).")
    assert all(isinstance(found[seed], Fitted) for seed in (0, 2, 3))
    assert said.count("one batch lost 3 workers; fitting its images one by one.") == 1
    assert pool.sent.count([0, 1, 2]) == 3 and pool.sent.count([1]) == 3


def test_errors() -> None:
    def fail(seeds: list[int]) -> Answer:
        raise RuntimeError("no such thing\nand more")

    found, _ = handle(Pool(1, fail), chunk(0, 1))
    assert found == {n: Failed("failed on a worker (no such thing).") for n in (0, 1)}

    def hopeless(seeds: list[int]) -> Answer:
        raise ConfigError("nobody can do that")

    with pytest.raises(ConfigError, match="nobody can do that"):
        handle(Pool(1, hopeless), chunk(0))
