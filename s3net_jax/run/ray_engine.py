"""Chunks on a Ray cluster: an actor for each device, retries, workers that come and go."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from s3net_jax.config import Config, ConfigError
from s3net_jax.io import OutputError
from s3net_jax.run.chunks import Chunk
from s3net_jax.run.outcome import Failed, Outcome, Piece
from s3net_jax.run.work import Fitter, Progress

__all__ = ["RayEngine"]

_ATTEMPTS = 3  # workers that a chunk may cost before its pieces are tried one by one
_GROW = 5.0  # seconds between two looks at whether the cluster has room for more workers
_PATIENCE = 10.0  # seconds to reach a cluster's head
_CHUNK = {"CPU": 2, "GPU": 32}  # fits of a chunk, unless --batch says otherwise


class _Worker:
    """The actor: owns one device, or some CPU cores, and fits what it is given."""

    def __init__(self, config: Config, batch: int | None, environment: dict[str, str]) -> None:
        os.environ.update(environment)  # before JAX is imported
        self._said: list[str] = []
        self._fitter = Fitter(config, batch, None, self._said.append)

    def fit(self, pieces: list[Piece]) -> tuple[list[Outcome], list[str]]:
        """Outcomes, and what is worth saying."""
        outcomes = self._fitter(pieces)
        said = list(self._said)
        self._said.clear()
        return outcomes, said

    def process(self) -> int:
        """The worker's process number, for tests."""
        return os.getpid()


@dataclass(eq=False)
class _Order:
    """A chunk, or one piece of a chunk that cost several workers, and where it stands."""

    chunk: Chunk
    places: list[int]
    attempts: int = 0


class RayEngine:
    """A driver that hands chunks to actors, one for each GPU of the cluster, or for each CPU core
    where there is none.

    A chunk whose worker dies goes to another one; after three deaths its pieces go one by one,
    and a piece that takes three more with it fails alone. Actors are added while the cluster has
    room, so that machines may join a run; machines that leave cost what was in flight on them.
    """

    def __init__(
        self,
        config: Config,
        *,
        batch: int | None = None,
        address: str | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Connects to ``address``, ``$RAY_ADDRESS``, or starts a cluster on this machine.

        Raises:
          ConfigError: Ray is not installed, or there is no cluster at the address.
        """
        try:
            import ray
        except ImportError:
            raise ConfigError("The engine ray needs Ray: pip install 's3net-jax[ray]'.") from None
        self._ray, self._config, self._batch, self._say = ray, config, batch, say
        address = address or os.environ.get("RAY_ADDRESS") or None
        if not os.environ.get("RAY_ADDRESS"):
            os.environ.pop("RAY_ADDRESS", None)  # Ray takes an empty one for an address
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        _check_address(address)
        before = signal.getsignal(signal.SIGTERM)  # Ray puts its own there
        try:
            options: dict[str, Any] = {} if address else {"include_dashboard": False}
            ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **options)
        except Exception as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ConfigError(
                f"There is no Ray cluster at {address or 'this machine'} ({first})."
            ) from None
        finally:
            signal.signal(signal.SIGTERM, before)
        self._device = "GPU" if ray.cluster_resources().get("GPU", 0) >= 1 else "CPU"
        self._actor = ray.remote(_Worker)
        self._workers: list[Any] = []
        self._grown = -_GROW

    def size(self) -> int:
        return self._batch or _CHUNK[self._device]

    def run(
        self, chunks: Iterable[Chunk], progress: Progress | None
    ) -> Iterator[tuple[Chunk, list[Outcome]]]:
        source = iter(chunks)
        again: deque[_Order] = deque()
        flying: dict[Any, tuple[_Order, Any]] = {}
        results: dict[Chunk, dict[int, Outcome]] = {}
        idle: deque[Any] = deque()
        more = True
        while True:
            idle.extend(self._grow())
            while idle and (more or again):
                if again:
                    order = again.popleft()
                else:
                    chunk = next(source, None)
                    if chunk is None:
                        more = False
                        break
                    order = _Order(chunk, list(range(len(chunk.jobs))))
                worker = idle.popleft()
                pieces = [order.chunk.jobs[n].piece for n in order.places]
                flying[worker.fit.remote(pieces)] = order, worker
            if not flying and not more and not again:
                return
            if not flying and not self._workers:
                time.sleep(0.2)  # until the cluster has room
                continue
            ready, _ = self._ray.wait(list(flying), num_returns=1, timeout=1.0)
            for reference in ready:
                order, worker = flying.pop(reference)
                outcomes = self._outcomes(reference, order, worker, again)
                if worker in self._workers:
                    idle.append(worker)
                if outcomes is None:
                    continue
                mine = results.setdefault(order.chunk, {})
                mine.update(zip(order.places, outcomes, strict=True))
                if len(mine) == len(order.chunk.jobs):
                    found = results.pop(order.chunk)
                    yield order.chunk, [found[n] for n in range(len(found))]

    def _outcomes(
        self, reference: Any, order: _Order, worker: Any, again: deque[_Order]
    ) -> list[Outcome] | None:
        """The outcomes of an order; None if it has to be done again."""
        try:
            outcomes, said = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause if isinstance(error.cause, Exception) else error
            if isinstance(cause, (ConfigError, OutputError)):
                raise cause from None
            first = str(cause).strip().splitlines() or [type(cause).__name__]
            return [Failed(f"failed on its worker ({first[0]}).") for _ in order.places]
        except self._ray.exceptions.RayError as error:
            self._drop(worker)
            order.attempts += 1
            name = type(error).__name__
            if order.attempts < _ATTEMPTS:
                self._say(f"a worker was lost ({name}); its work goes to another one.")
                again.append(order)
                return None
            if len(order.places) > 1:
                self._say(f"{order.attempts} workers were lost over one batch: one by one now.")
                again.extend(_Order(order.chunk, [place]) for place in order.places)
                return None
            return [Failed(f"took {order.attempts} workers with it ({name}).")]
        for text in said:
            self._say(text)
        return outcomes

    def _grow(self) -> list[Any]:
        """New actors for what the cluster has free, now and then."""
        now = time.monotonic()
        if now - self._grown < _GROW and self._workers:
            return []
        self._grown = now
        free = int(self._ray.available_resources().get(self._device, 0))
        new = []
        for _ in range(free):
            environment = {"TF_CPP_MIN_LOG_LEVEL": "2"}
            if self._device == "CPU":
                # One core each: XLA would otherwise start a thread for every core it sees.
                environment |= {"PJRT_NPROC": "1", "JAX_PLATFORMS": "cpu"}
            for name in ("JAX_COMPILATION_CACHE_DIR", "S3NET_DEBUG"):
                if name in os.environ:
                    environment[name] = os.environ[name]
            gpus = 1 if self._device == "GPU" else 0
            actor = self._actor.options(num_cpus=1, num_gpus=gpus, max_restarts=0)
            new.append(actor.remote(self._config, self._batch, environment))
        self._workers += new
        return new

    def _drop(self, worker: Any) -> None:
        if worker in self._workers:
            self._workers.remove(worker)
            self._ray.kill(worker)
        self._grown = -_GROW  # its place may be free again

    def describe(self) -> dict[str, Any]:
        return {
            "engine": "ray",
            "batch": self._batch or "auto",
            "workers": len(self._workers),
            "worker_device": self._device,
        }

    def close(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers.clear()
        self._ray.shutdown()


def _check_address(address: str | None) -> None:
    """Raises :class:`ConfigError` if nobody listens at ``HOST:PORT``: Ray would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal():  # auto, local, a name of Ray's own
        return
    try:
        socket.create_connection((host.removeprefix("ray://"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError) as error:
        reason = str(error).strip().rstrip(".") or type(error).__name__
        raise ConfigError(f"There is no Ray cluster at {address} ({reason}).") from None
