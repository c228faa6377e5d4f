"""What does the fits of a run: this process, with all its devices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from s3net_jax.config import Config
from s3net_jax.jax_setup import get_platform
from s3net_jax.run.batches import Chunk
from s3net_jax.run.fitter import Fitter, Progress
from s3net_jax.run.memory import find_useful_size
from s3net_jax.run.outcome import Outcome
from s3net_jax.schema import EngineRecord

__all__ = ["Call", "Engine", "LocalEngine"]

Call = Callable[[Callable[[], list[Outcome]]], list[Outcome]]
"""Runs a computation; a command line passes one that can be interrupted."""


class Engine(Protocol):
    """Fits chunks, in any order."""

    def size(self) -> int:
        """Return the number of fits that a chunk should have."""
        ...

    def run(
        self, chunks: Iterable[Chunk], progress: Progress | None
    ) -> Iterator[tuple[Chunk, list[Outcome]]]:
        """Yield every chunk with its outcomes, as they come; read ``chunks`` as work is needed."""
        ...

    def describe(self) -> EngineRecord:
        """Describe the engine for ``run.json``."""
        ...

    def close(self) -> None:
        """Release what the engine holds."""
        ...


class LocalEngine:
    """One chunk after another, each sharded across the local devices of its platform."""

    def __init__(
        self,
        config: Config,
        *,
        batch: int | None = None,
        call: Call = lambda compute: compute(),
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """``batch``: fits at once; None: as many as help, and fit the memory.

        Raises:
          ConfigError: JAX finds no device.
        """
        import jax

        get_platform()  # the reason why there is no device
        found = jax.local_devices()
        self._devices = found if len(found) > 1 else None
        self._batch = batch
        self._call = call
        self._fitter = Fitter(config, batch, self._devices, say)

    def size(self) -> int:
        return self._batch or find_useful_size(self._devices)

    def run(
        self, chunks: Iterable[Chunk], progress: Progress | None
    ) -> Iterator[tuple[Chunk, list[Outcome]]]:
        for chunk in chunks:
            pieces = chunk.pieces
            yield chunk, self._call(lambda pieces=pieces: self._fitter.fit(pieces, progress))

    def describe(self) -> EngineRecord:
        return {"engine": "local", "batch": self._batch or "auto"}

    def close(self) -> None:
        pass
