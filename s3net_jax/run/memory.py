"""How much is done at once: fits that fit in memory, as measured on the compiled program, and
processes; and batches that are halved where memory runs out after all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from s3net_jax.config import Config
from s3net_jax.io import compute_prepared_shape
from s3net_jax.jax_setup import is_out_of_memory
from s3net_jax.parallel import count_usable_cores

__all__ = [
    "BatchSizes",
    "choose_batch_size",
    "count_processes",
    "find_useful_size",
    "free_bytes",
]

Item = TypeVar("Item")
Result = TypeVar("Result")

_SHARE = {"cpu": 0.5}  # of what is free: the rest of the machine lives there, too
_SHARE_OTHERS = 0.8
_PROCESS, _MAPS = 450 << 20, 64
_USEFUL = {"cpu": 1}  # more at once gain nothing there (benchmarks/results), and come later
_USEFUL_OTHERS = 64


@dataclass
class BatchSizes:
    """How many fits are done at once, for each shape of the network's input.

    Attributes:
      config: configuration of the fits.
      limit: number of fits at once; None: as many as help and fit in memory.
      devices: devices that share the fits; None: the default device.
      say: called with a message when a batch is halved.
    """

    config: Config
    limit: int | None
    devices: Sequence[Any] | None
    say: Callable[[str], None]
    _sizes: dict[tuple[int, int], int] = field(default_factory=dict)

    def fit_in_parts(
        self,
        items: Sequence[Item],
        shape: tuple[int, int],
        fit: Callable[[list[Item]], list[Result]],
        *,
        fill: bool = False,
    ) -> Iterator[Result]:
        """Yield the result of each item, computed in batches.

        A batch that runs out of memory is halved, and so are all later ones of this shape.

        Args:
          items: what is fitted.
          shape: size of the network's input, (H, W).
          fit: fits a batch, and returns a result for each item.
          fill: whether a last, smaller batch is filled up with copies of an item: another size
            would be another program.

        Raises:
          Exception: what ``fit`` raised, if it is not lack of memory, or the batch had one item.
        """
        done = 0
        while done < len(items):
            size = min(self._find_size(shape, len(items)), len(items))
            part = list(items[done : done + size])
            batch = part + part[:1] * (size - len(part)) if fill else part
            try:
                results = fit(batch)
            except Exception as error:
                if len(batch) == 1 or not is_out_of_memory(error):
                    raise
                self._halve(shape, len(batch))
                continue
            yield from results[: len(part)]
            done += len(part)

    def _find_size(self, shape: tuple[int, int], wanted: int) -> int:
        if shape not in self._sizes and self.limit is not None:
            self._sizes[shape] = self.limit
        elif shape not in self._sizes and wanted > 1:
            self._sizes[shape] = choose_batch_size(self.config, shape, wanted, self.devices)
        return self._sizes.get(shape, 1)

    def _halve(self, shape: tuple[int, int], count: int) -> None:
        half = self._sizes[shape] = count // 2
        self.say(f"{count} fits at once do not fit in memory; continuing with {half} at once.")


def find_useful_size(devices: Sequence[Any] | None) -> int:
    """Return the batch size beyond which the devices do no more images a minute."""
    import jax

    each = _USEFUL.get(jax.default_backend(), _USEFUL_OTHERS)
    return each * (1 if devices is None else len(devices))


def choose_batch_size(
    config: Config, shape: tuple[int, int], wanted: int, devices: Sequence[Any] | None
) -> int:
    """Choose the largest of ``wanted``, half of it, ... whose program fits in free memory.

    The memory is what the compiler measures for the program of that size.

    Args:
      config: configuration of the fits.
      shape: size of the network's input, (H, W).
      wanted: largest number of fits at once, 1 or more.
      devices: devices that share the fits, or None for the default device.
    """
    import jax

    from s3net_jax.fitting import batch_bytes

    several = 1 if devices is None else len(devices)
    device = jax.local_devices()[0] if devices is None else devices[0]
    budget = free_bytes(device) * _SHARE.get(device.platform, _SHARE_OTHERS)
    if device.platform == "cpu":
        budget /= several  # simulated devices share one memory
    count = min(wanted, find_useful_size(devices))
    while count > 1:
        if batch_bytes(config, shape, -(-count // several)) <= budget:
            return count
        count //= 2
    return 1


def count_processes(config: Config, shape: tuple[int, int], each: int) -> int:
    """Count the processes with one core each that fit in memory; at least one.

    Estimated, because no program is compiled where they are started: what Python, JAX and the
    programs take, and feature maps of a fit (peaks in ``benchmarks/results`` are below it).

    Args:
      config: configuration of the fits.
      shape: size of an image, (H, W).
      each: number of fits at once in each process.
    """
    import jax

    height, width = compute_prepared_shape(shape, config.input)
    values = height * width * config.model.channels
    needed = _PROCESS + each * _MAPS * values * jax.numpy.dtype(config.model.dtype).itemsize
    held = free_bytes(jax.local_devices()[0]) * _SHARE["cpu"] / needed
    return max(1, min(count_usable_cores(), int(min(held, 1 << 20))))


def free_bytes(device: Any) -> float:
    """Measure the memory that ``device`` has left; infinite where it is unknown."""
    stats = None if device.platform == "cpu" else device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    found = [_measure_machine(), _measure_container()]
    return min(value for value in found if value is not None) if any(found) else float("inf")


def _measure_machine() -> float | None:
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


def _measure_container() -> float | None:
    """Measure what a container's limit leaves; None without a limit."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            return None if limit == "max" else int(limit) - int(file.read())
    except (OSError, ValueError):
        return None
