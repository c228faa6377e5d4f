"""Pieces of many inputs put together into batches of one shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from s3net_jax.config import Config
from s3net_jax.io import Image, compute_prepared_shape
from s3net_jax.run.outcome import Piece

__all__ = ["Chunk", "Job", "make_chunks"]

_OPEN = 4  # times a batch: pieces that may wait in half-filled batches


@dataclass(frozen=True, eq=False)
class Job:
    """One piece of one input with one seed."""

    task: int
    index: int
    seed: int
    image: Image

    @property
    def piece(self) -> Piece:
        """What is fitted."""
        return Piece(self.image, self.seed)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Jobs whose images become network inputs of one shape."""

    jobs: tuple[Job, ...]

    @property
    def pieces(self) -> list[Piece]:
        """What is fitted."""
        return [job.piece for job in self.jobs]


def make_chunks(jobs: Iterable[Job], config: Config, size: int) -> Iterator[Chunk]:
    """Group jobs into chunks of up to ``size``, each yielded as soon as it is full.

    Jobs of rare shapes wait until a chunk is full, the jobs end, or many wait; so few images are
    in memory at a time.
    """
    waiting: dict[tuple[int, int], list[Job]] = {}
    for job in jobs:
        shape = compute_prepared_shape(job.image.shape, config.input)
        waiting.setdefault(shape, []).append(job)
        if len(waiting[shape]) == size:
            yield Chunk(tuple(waiting.pop(shape)))
        elif sum(map(len, waiting.values())) >= max(_OPEN * size, 16):
            oldest = next(iter(waiting))
            yield Chunk(tuple(waiting.pop(oldest)))
    for rest in waiting.values():
        yield Chunk(tuple(rest))
