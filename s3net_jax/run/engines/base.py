"""Define the engine interface, and the engine that fits in this process on all its devices."""

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
"""Function that runs a computation; the command line passes one that signals can interrupt."""


class Engine(Protocol):
    """An engine fits chunks, in any order."""

    def size(self) -> int:
        """Return the number of fits to put into a chunk."""
        ...

    def run(
        self, chunks: Iterable[Chunk], progress: Progress | None
    ) -> Iterator[tuple[Chunk, list[Outcome]]]:
        """Fit chunks and yield each with its outcomes as soon as they are known.

        Args:
          chunks: chunks to fit; read only as fast as they are needed.
          progress: listener, or None.
        """
        ...

    def describe(self) -> EngineRecord:
        """Describe the engine for ``run.json``."""
        ...

    def close(self) -> None:
        """Stop workers and release their resources."""
        ...


class LocalEngine:
    """An engine that fits one chunk after another, each sharded across all local devices."""

    def __init__(
        self,
        config: Config,
        *,
        batch: int | None = None,
        call: Call = lambda compute: compute(),
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Find the local devices.

        Args:
          config: configuration of all fits.
          batch: number of fits at once; None chooses a size that is useful and fits in memory.
          call: function that runs a computation.
          say: function called with each message for the user.

        Raises:
          ConfigError: JAX finds no device.
        """
        import jax

        get_platform()  # raises ConfigError, with the reason, if there is no device
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
