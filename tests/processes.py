"""Processes that tests start: waiting for what they do."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable

__all__ = ["HANG", "find_port", "wait_until"]

HANG = 600.0
"""Seconds after which a wait counts as a hang. No test passes or fails by how long something takes:
this is far above what anything takes on a busy machine, and only ends a run that is stuck."""


def wait_until(condition: Callable[[], bool]) -> bool:
    """Wait until `condition` holds; return False if it does not within `HANG` seconds."""
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


def find_port() -> int:
    """Find a free port outside the range from which systems pick the ports of connections: nothing
    else on this machine takes it between this check and its use."""
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as probe:
            try:
                probe.bind(("localhost", port))
            except OSError:
                continue
            return port
    raise OSError("None of 100 ports is free.")
