"""Choose how many fits and processes run at once, and halve batches that run out of memory.

The memory need of a batch is read from its compiled program.
"""

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
    "estimate_process_bytes",
    "find_useful_size",
    "free_bytes",
]

Item = TypeVar("Item")
Result = TypeVar("Result")

# Share of free memory that a batch may use, by platform. On a CPU, images, results and other
# programs use the same memory. On a GPU, the rest must hold what `batch_bytes` does not measure:
# the records of several steps, and the final logits.
_SHARE = {"cpu": 0.5}
_SHARE_OTHERS = 0.8
# Estimate for one worker process: bytes for Python, JAX and programs, and feature maps of one fit
# of S3-Net; other methods have their own `count_values`.
# Workers keep the memory they free, and JAX frees a call's memory late, so how much they keep
# depends on how fast calls follow each other. The estimate is therefore above every CPU peak in
# benchmarks/results: at 256×256 and 64 channels it gives 3330 MiB. Fits step by step that keep
# memory peak at 1733 to 3308 MiB, steps without compiled kernels at 2020 MiB, and whole fits at
# 850 MiB (1290 MiB if they keep memory).
_PROCESS, _MAPS = 450 << 20, 180
# Share of free memory for worker processes: more than `_SHARE`, since few fits need the estimate.
_SHARE_PROCESSES = 0.8
# Largest useful batch by platform. On a CPU, a batch of 4 is hardly faster than single fits
# (benchmarks/results/fit-256-64-avx512.json), slower with early stops (26.95 against 31.94 images a
# minute, many-ph2-avx512.json), and its first result comes later. On an H200, 32 at once are 1.6
# times as fast as one (fit-256-64-nvidia-h200.json); 64 itself was not measured.
_USEFUL = {"cpu": 1}
_USEFUL_OTHERS = 64


@dataclass
class BatchSizes:
    """The number of fits at once, for each shape of the network's input.

    Attributes:
      config: configuration of the fits.
      limit: number of fits at once; None chooses a size that is useful and fits in memory.
      devices: devices to distribute the fits over; None uses the default device.
      say: function called with a message when a batch is halved.
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
        """Compute results in batches and yield the result of each item, in order.

        A batch that runs out of memory is halved, and later batches of this shape keep that size.

        Args:
          items: items to fit.
          shape: size of the network's input, (H, W).
          fit: function that fits a batch and returns a result for each item.
          fill: whether to pad a smaller last batch with copies of an item, since another batch
            size would compile another program.

        Raises:
          Exception: the error that ``fit`` raised, unless a batch of several items ran out of
            memory.
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
    """Return the batch size beyond which throughput no longer improves."""
    import jax

    each = _USEFUL.get(jax.default_backend(), _USEFUL_OTHERS)
    return each * (1 if devices is None else len(devices))


def choose_batch_size(
    config: Config, shape: tuple[int, int], wanted: int, devices: Sequence[Any] | None
) -> int:
    """Choose a batch size whose compiled program fits in free memory.

    Starts at ``wanted``, limited by :func:`find_useful_size`, and halves it until the compiler's
    memory analysis fits the budget. 1 is never checked.

    Args:
      config: configuration of the fits.
      shape: size of the network's input, (H, W).
      wanted: largest number of fits at once, at least 1.
      devices: devices to distribute the fits over; None uses the default device.
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
    """Return the number of single-core processes that fit in memory, at least 1.

    The parent process compiles no program, so the memory need is estimated from the memory of a
    Python process with JAX and the feature maps of its fits.

    Args:
      config: configuration of the fits.
      shape: size of an image, (H, W).
      each: number of fits at once in each process.
    """
    import jax

    needed = estimate_process_bytes(config, shape, each)
    held = free_bytes(jax.local_devices()[0]) * _SHARE_PROCESSES / needed
    return max(1, min(count_usable_cores(), int(min(held, 1 << 20))))


def estimate_process_bytes(config: Config, shape: tuple[int, int], each: int) -> int:
    """Estimate the peak memory of a worker process in bytes, according to the method.

    Args:
      config: configuration of the fits.
      shape: size of an image, (H, W).
      each: number of fits at once in the process.
    """
    import jax

    from s3net_jax.methods import get_method

    height, width = compute_prepared_shape(shape, config.input)
    count = get_method(config.method.name).count_values
    if count is None:
        values = _MAPS * height * width * config.model.channels
    else:
        values = count(config, (height, width))
    return _PROCESS + each * values * jax.numpy.dtype(config.model.dtype).itemsize


def free_bytes(device: Any) -> float:
    """Return the free memory of ``device`` in bytes; infinity if it is unknown."""
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
    """Return the bytes left below the container's limit (cgroup v2); None without a limit."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            return None if limit == "max" else int(limit) - int(file.read())
    except (OSError, ValueError):
        return None
