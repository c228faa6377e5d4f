"""Group the pieces of many inputs into batches of one shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from s3net_jax.config import Config
from s3net_jax.io import Image, compute_prepared_shape
from s3net_jax.run.network import Network
from s3net_jax.run.outcome import Piece

__all__ = ["Chunk", "Job", "make_chunks"]

_OPEN = 4
"""Limit on waiting pieces, as a multiple of the batch size. It bounds the number of images in
memory if inputs have many shapes; a larger limit would fill more batches. At least 16 pieces may
wait, for small batches."""


@dataclass(frozen=True, eq=False)
class Job:
    """One piece of one input, to fit with one seed or to apply a trained network to.

    Attributes:
      task: number of the input in the run.
      index: number of the piece in its input.
      seed: seed of the fit.
      image: pixels of the piece.
      network: network to apply; None for a fit.
    """

    task: int
    index: int
    seed: int
    image: Image
    network: Network | None = None

    @property
    def piece(self) -> Piece:
        """The image and seed to fit, or the network to apply."""
        return Piece(self.image, self.seed, network=self.network)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Jobs whose images become network inputs of one shape."""

    jobs: tuple[Job, ...]

    @property
    def pieces(self) -> list[Piece]:
        """The images and seeds to fit."""
        return [job.piece for job in self.jobs]


def make_chunks(jobs: Iterable[Job], config: Config, size: int) -> Iterator[Chunk]:
    """Group jobs of one network shape into chunks, and yield each chunk as soon as it is full.

    A job of a rare shape waits until its chunk is full, the jobs end, or too many jobs wait. Then
    the oldest chunk is yielded as it is, so that only few images are in memory at a time.

    Args:
      jobs: jobs of any shapes; read one by one.
      config: configuration, which decides the network shape of an image.
      size: largest number of jobs in a chunk.
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
