"""Fit chunks on a Ray cluster, with an actor for each device and retries for lost actors."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, LostWorkerError
from s3net_jax.io import Limits, get_limits, set_limits
from s3net_jax.run.batches import Chunk
from s3net_jax.run.engines.pool import ONE_CORE, Answer, Worker, distribute_chunks
from s3net_jax.run.fitter import Progress
from s3net_jax.run.outcome import Outcome, Piece
from s3net_jax.schema import EngineRecord

__all__ = ["RayEngine"]

_GROW = 5.0  # seconds between two checks whether the cluster has room for more workers
_PATIENCE = 10.0  # seconds to wait for a connection to a cluster's head
# Fits in a chunk without --batch. Small chunks lose less work if an actor dies, and spread evenly
# over actors at the end. On a GPU, 32 fits at once are 1.6 times as fast as single ones
# (benchmarks/results/fit-256-64-nvidia-h200.json).
_CHUNK = {"CPU": 2, "GPU": 32}


class _Actor(Worker):
    """A worker that owns one GPU or one CPU core."""

    def __init__(
        self, config: Config, batch: int | None, environment: dict[str, str], limits: Limits
    ) -> None:
        os.environ.update(environment)  # JAX reads it on import, which happens later
        set_limits(limits)
        super().__init__(config, batch)


class RayEngine:
    """An engine with an actor for each GPU of a cluster, or for each CPU core if it has no GPU.

    Actors are added while the cluster has room, so machines can join during a run. If a machine
    leaves, other actors repeat the chunks it was fitting (:func:`distribute_chunks`).
    """

    def __init__(
        self,
        config: Config,
        *,
        batch: int | None = None,
        address: str | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Connect to a cluster, or start one on this machine.

        Args:
          config: configuration of all fits.
          batch: number of fits in a chunk; None: 32 on GPUs, 2 on CPUs.
          address: address of the cluster; None uses ``$RAY_ADDRESS`` or starts a cluster.
          say: function called with each message for the user.

        Raises:
          ConfigError: Ray is not installed, or there is no cluster at the address.
        """
        try:
            import ray
        except ImportError:
            raise ConfigError("--engine ray requires Ray: pip install 's3net-jax[ray]'.") from None
        self._ray, self._config, self._batch, self._say = ray, config, batch, say
        address = address or os.environ.get("RAY_ADDRESS") or None
        if not os.environ.get("RAY_ADDRESS"):
            os.environ.pop("RAY_ADDRESS", None)  # Ray would use an empty string as an address
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _check_address(address)
        before = signal.getsignal(signal.SIGTERM)  # ray.init replaces it in the main thread
        try:
            options: dict[str, Any] = {} if address else {"include_dashboard": False}
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ConfigError(
                f"There is no Ray cluster at {address or 'this machine'} ({first}): start one, or "
                "check --ray-address."
            ) from None
        finally:
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)
        self._device = "GPU" if ray.cluster_resources().get("GPU", 0) >= 1 else "CPU"
        self._actor = ray.remote(_Actor)
        self._actors: list[Any] = []
        self._grown = -_GROW

    def size(self) -> int:
        return self._batch or _CHUNK[self._device]

    def run(
        self, chunks: Iterable[Chunk], progress: Progress | None
    ) -> Iterator[tuple[Chunk, list[Outcome]]]:
        return distribute_chunks(chunks, self, self._say)

    def grow(self) -> list[Any]:
        """Start actors on all free devices; check the cluster at most every five seconds."""
        now = time.monotonic()
        if now - self._grown < _GROW and self._actors:
            return []
        self._grown = now
        free = int(self._ray.available_resources().get(self._device, 0))
        new = []
        for _ in range(free):
            environment = {"TF_CPP_MIN_LOG_LEVEL": "2"}
            if self._device == "CPU":
                environment |= ONE_CORE
            for name in ("JAX_COMPILATION_CACHE_DIR", "S3NET_DEBUG"):
                if name in os.environ:
                    environment[name] = os.environ[name]
            gpus = 1 if self._device == "GPU" else 0
            actor = self._actor.options(num_cpus=1, num_gpus=gpus, max_restarts=0)
            new.append(actor.remote(self._config, self._batch, environment, get_limits()))
        self._actors += new
        return new

    def workers(self) -> list[Any]:
        return self._actors

    def send(self, worker: Any, pieces: list[Piece]) -> Any:
        return worker.fit.remote(pieces)

    def wait(self, tickets: list[Any]) -> list[Any]:
        if not tickets:
            time.sleep(0.2)
            return []
        return self._ray.wait(tickets, num_returns=1, timeout=1.0)[0]

    def receive(self, ticket: Any) -> Answer:
        try:
            return self._ray.get(ticket)
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause if isinstance(error.cause, Exception) else error) from None
        except self._ray.exceptions.RayError as error:
            raise LostWorkerError(type(error).__name__) from None

    def drop(self, worker: Any) -> None:
        if worker in self._actors:
            self._actors.remove(worker)
            self._ray.kill(worker)
        self._grown = -_GROW  # check at once: the lost actor's device may be free again

    def describe(self) -> EngineRecord:
        return {
            "engine": "ray",
            "batch": self._batch or "auto",
            "workers": len(self._actors),
            "worker_device": self._device,
        }

    def close(self) -> None:
        for worker in self._actors:
            self._ray.kill(worker)
        self._actors.clear()
        self._ray.shutdown()


def _check_address(address: str | None) -> None:
    """Raise :class:`ConfigError` if nothing listens at ``HOST:PORT``; Ray would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal():  # "auto", "local" and other names that Ray resolves
        return
    try:
        socket.create_connection((host.removeprefix("ray://"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise ConfigError(
            f"There is no Ray cluster at {address} ({reason}): start one, or check --ray-address."
        ) from None
