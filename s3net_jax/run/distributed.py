"""Distribute inputs over several processes that write to one output folder."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from s3net_jax.errors import ConfigError

__all__ = ["SINGLE_PROCESS", "Rank", "find_rank"]

T = TypeVar("T")


@dataclass(frozen=True)
class Rank:
    """Process ``index`` (from 0) of ``count``."""

    index: int
    count: int

    def select(self, items: Sequence[T]) -> list[T]:
        """Return every ``count``-th item, starting at ``index``.

        The selection does not depend on finished results, so that processes that start at different
        times still agree on it.
        """
        return list(items[self.index :: self.count])


SINGLE_PROCESS = Rank(0, 1)


def find_rank() -> Rank:
    """Find the rank of this process.

    After ``jax.distributed.initialize``, the rank is JAX's. Otherwise the environment gives it:
    ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``, Slurm (``srun`` with several tasks), or Open MPI
    (``mpirun``). Processes from the environment are not connected. They share only the output
    folder, so if one dies, the others continue. If several run on one machine, each uses the GPU
    of its local rank.

    Raises:
      ConfigError: a variable in the environment is not a whole number, or the rank is out of range.
    """
    import jax

    if jax.distributed.is_initialized():
        return Rank(jax.process_index(), jax.process_count())
    for count, index, local, siblings in _VARIABLES:
        if count in os.environ and index in os.environ:
            rank = Rank(_read_number(index), _read_number(count))
            if rank.index >= rank.count:
                raise ConfigError(
                    f"{index} must be less than {count} ({rank.count}), got {rank.index}: ranks "
                    "start at 0."
                )
            if rank.count > 1 and _read_first_number(siblings) > 1 and local in os.environ:
                jax.config.update("jax_cuda_visible_devices", str(_read_number(local)))
            return rank
    return SINGLE_PROCESS


_VARIABLES = (
    # number of processes, index of this process, its index on its machine, number on its machine
    ("JAX_NUM_PROCESSES", "JAX_PROCESS_ID", "JAX_LOCAL_PROCESS_ID", "JAX_LOCAL_NUM_PROCESSES"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"),
    (
        "OMPI_COMM_WORLD_SIZE",
        "OMPI_COMM_WORLD_RANK",
        "OMPI_COMM_WORLD_LOCAL_RANK",
        "OMPI_COMM_WORLD_LOCAL_SIZE",
    ),
)


def _read_number(name: str) -> int:
    text = os.environ.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ConfigError(f"{name} must be a whole number, got {text!r}.")
    return int(text)


def _read_first_number(name: str) -> int:
    """Read the first number of a variable; return 1 without one.

    Slurm writes ``2(x3),1`` for two tasks on each of three machines and one on a fourth.
    """
    digits = re.match("[0-9]{1,9}", os.environ.get(name, ""))
    return int(digits[0]) if digits else 1
