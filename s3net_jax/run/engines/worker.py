"""A process that fits what comes in on its standard input: the other end of ``--engine processes``.

It is started as ``python -c`` with the search path of its parent, and needs nothing else of it:
not its main module, which may be a notebook, standard input, or a script without a guard.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import threading
from typing import Any, BinaryIO

from s3net_jax.errors import ConfigError, OutputError
from s3net_jax.io import set_limits
from s3net_jax.run.engines.pool import Worker

__all__ = ["READY", "serve"]

READY = "ready"
"""What a worker says once it can fit."""


def serve() -> None:
    """Read (config, batch, settings of JAX, limits), then pieces; answer with :data:`READY`, then
    each time with outcomes or an exception, until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that hands out the work
    requests, answers = _open_channels()
    try:
        config, batch, settings, limits = pickle.load(requests)
    except EOFError:
        return
    set_limits(limits)
    arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, arrived), daemon=True).start()
    try:
        worker = _make_worker(config, batch, settings)
    except Exception as error:
        _send(ConfigError(f"A worker process can't be used: {_shorten_error(error)}."), answers)
        return
    _send(READY, answers)
    while _send(_fit(worker, arrived.get()), answers):
        pass


def _send(answer: Any, answers: BinaryIO) -> bool:
    """Whether there is still somebody who reads."""
    try:
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
    except OSError:
        return False
    return True


def _open_channels() -> tuple[BinaryIO, BinaryIO]:
    """Standard input and output, for work and answers alone: what else is printed goes to standard
    error."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _listen(requests: BinaryIO, arrived: queue.SimpleQueue[Any]) -> None:
    """Takes what comes in. Its end means that the parent has gone: nobody waits for the fit that
    is going on, which may take minutes."""
    while True:
        try:
            arrived.put(pickle.load(requests))
        except (EOFError, OSError, pickle.UnpicklingError):
            os._exit(0)


def _make_worker(config: Any, batch: int | None, settings: dict[str, Any]) -> Worker:
    import jax

    from s3net_kernels import keep_memory

    for name, value in settings.items():
        jax.config.update(name, value)
    keep_memory()
    return Worker(config, batch)


def _fit(worker: Worker, pieces: Any) -> Any:
    try:
        return worker.fit(pieces)
    except (ConfigError, OutputError) as error:
        return error
    except Exception as error:  # of any kind: some can't be sent
        return RuntimeError(_shorten_error(error))


def _shorten_error(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first.rstrip('.')}"
