"""How much is done at once: fits as the memory holds, measured on the compiled program;
processes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from s3net_jax.config import Config
from s3net_jax.io import prepared_shape
from s3net_jax.parallel import usable_cores

__all__ = [
    "free_bytes",
    "most_at_once",
    "processes_at_once",
    "useful_at_once",
]

_SHARE = {"cpu": 0.5}  # of what is free: the rest of the machine lives there, too
_SHARE_OTHERS = 0.8
_PROCESS, _MAPS = 450 << 20, 64
_USEFUL = {"cpu": 1}  # more at once gain nothing there (benchmarks/results), and come later
_USEFUL_OTHERS = 64


def useful_at_once(devices: Sequence[Any] | None) -> int:
    """Fits at once beyond which the devices do no more images a minute."""
    import jax

    each = _USEFUL.get(jax.default_backend(), _USEFUL_OTHERS)
    return each * (1 if devices is None else len(devices))


def most_at_once(
    config: Config, shape: tuple[int, int], wanted: int, devices: Sequence[Any] | None
) -> int:
    """The largest of ``wanted``, half of it, ... whose memory, as the compiler gives it for the
    program of that size, is free on the device.

    Args:
      config: of the fits.
      shape: (H, W) of the network's input.
      wanted: fits at once that would be welcome.
      devices: that share the fits, or None for the default device.
    """
    import jax

    from s3net_jax.fitting import batch_bytes

    several = 1 if devices is None else len(devices)
    device = jax.local_devices()[0] if devices is None else devices[0]
    budget = free_bytes(device) * _SHARE.get(device.platform, _SHARE_OTHERS)
    if device.platform == "cpu":
        budget /= several  # simulated devices share one memory
    count = min(wanted, useful_at_once(devices))
    while count > 1:
        if batch_bytes(config, shape, -(-count // several)) <= budget:
            return count
        count //= 2
    return 1


def processes_at_once(config: Config, shape: tuple[int, int], each: int) -> int:
    """Processes that fit images on a core each, as the memory holds; at least one.

    Estimated, because no program is compiled where they are started: what Python, JAX and the
    programs take, and feature maps of a fit (peaks in ``benchmarks/results`` are below it).

    Args:
      config: of the fits.
      shape: (H, W) of an image.
      each: fits at once in each process.
    """
    import jax

    height, width = prepared_shape(shape, config.input)
    values = height * width * config.model.channels
    needed = _PROCESS + each * _MAPS * values * jax.numpy.dtype(config.model.dtype).itemsize
    held = free_bytes(jax.local_devices()[0]) * _SHARE["cpu"] / needed
    return max(1, min(usable_cores(), int(min(held, 1 << 20))))


def free_bytes(device: Any) -> float:
    """Memory that ``device`` has left; infinite where nobody tells."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    found = [_available(), _cgroup_left()]
    return min(value for value in found if value is not None) if any(found) else float("inf")


def _available() -> float | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2
    except (ValueError, OSError, AttributeError):
        return None


def _cgroup_left() -> float | None:
    """What a container's limit leaves."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            return None if limit == "max" else int(limit) - int(file.read())
    except (OSError, ValueError):
        return None
