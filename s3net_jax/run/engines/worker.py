"""Run a worker process of ``--engine processes``, which fits pieces from its standard input.

The parent starts it as ``python -c`` with its own search path. Unlike ``multiprocessing``, the
worker does not import the parent's main module, which may be a notebook, standard input, or a
script without a ``__main__`` guard.
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
"""Message that a worker sends once it is ready to fit."""


def serve() -> None:
    """Serve requests until standard input ends.

    The first message is (config, batch, JAX settings, limits); the worker answers :data:`READY`, or
    an exception. Each further message is a list of pieces; the worker answers with their outcomes,
    or an exception.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
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
        _send(ConfigError(f"A worker process can't be set up: {_shorten_error(error)}."), answers)
        return
    _send(READY, answers)
    while _send(_fit(worker, arrived.get()), answers):
        pass


def _send(answer: Any, answers: BinaryIO) -> bool:
    """Send an answer; return whether the parent still reads answers."""
    try:
        pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()
    except OSError:
        return False
    return True


def _open_channels() -> tuple[BinaryIO, BinaryIO]:
    """Return files for requests and answers, and detach them from standard input and output.

    Anything else that the process prints goes to standard error, so it can't corrupt the answers.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return requests, answers


def _listen(requests: BinaryIO, arrived: queue.SimpleQueue[Any]) -> None:
    """Queue incoming requests, and end the process when the parent has gone.

    ``os._exit`` stops a running fit, which may take minutes and whose result nobody reads.
    """
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
    except Exception as error:  # send only its text: some exceptions can't be pickled
        return RuntimeError(_shorten_error(error))


def _shorten_error(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {first.rstrip('.')}"
