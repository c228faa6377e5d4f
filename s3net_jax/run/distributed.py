"""Several processes, one output folder: which of the inputs each process segments."""

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
        """Return every ``count``-th item from ``index`` on, whatever was done before."""
        return list(items[self.index :: self.count])


SINGLE_PROCESS = Rank(0, 1)


def find_rank() -> Rank:
    """Find this process's rank in the set-ups that ``jax.distributed`` knows.

    After ``jax.distributed.initialize`` it is the rank among those processes. Otherwise the
    environment gives it: Slurm (``srun`` with several tasks), Open MPI (``mpirun``), or
    ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``. Those processes are not connected: they share only
    the output folder, so the death of one does not affect the others. Of several processes on a
    machine with GPUs each takes its own GPU.

    Raises:
      ConfigError: a variable in the environment is not a number, or the rank is out of range.
    """
    import jax

    if jax.distributed.is_initialized():
        return Rank(jax.process_index(), jax.process_count())
    for count, index, local, siblings in _VARIABLES:
        if count in os.environ and index in os.environ:
            rank = Rank(_read_number(index), _read_number(count))
            if rank.index >= rank.count:
                raise ConfigError(
                    f"{index} is {rank.index}, of {rank.count} processes: they count from 0."
                )
            if rank.count > 1 and _read_first_number(siblings) > 1 and local in os.environ:
                jax.config.update("jax_cuda_visible_devices", str(_read_number(local)))
            return rank
    return SINGLE_PROCESS


_VARIABLES = (
    # number of processes, this one's index, its index on its machine, how many are there
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
        raise ConfigError(f"{name} is {text!r}: it must be a whole number.")
    return int(text)


def _read_first_number(name: str) -> int:
    """Read the first number of a variable.

    Slurm writes ``2(x3),1``: two tasks on each of three machines, one on a fourth.
    """
    digits = re.match("[0-9]{1,9}", os.environ.get(name, ""))
    return int(digits[0]) if digits else 1
