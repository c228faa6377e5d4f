"""Several processes, one folder: the part of the inputs that each of them does."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from s3net_jax.errors import ConfigError

__all__ = ["ALONE", "Share", "find_share"]

T = TypeVar("T")


@dataclass(frozen=True)
class Share:
    """Process ``index`` of ``count``."""

    index: int
    count: int

    def of(self, items: Sequence[T]) -> list[T]:
        """Every ``count``-th item, from ``index`` on: the same whatever was done before."""
        return list(items[self.index :: self.count])


ALONE = Share(0, 1)


def find_share() -> Share:
    """This process's share, in the set-ups that ``jax.distributed`` knows.

    If the program has called ``jax.distributed.initialize``, its place among those processes.
    Otherwise what the environment tells: Slurm (``srun`` with several tasks), Open MPI
    (``mpirun``), or ``JAX_NUM_PROCESSES`` and ``JAX_PROCESS_ID``. Then nothing is connected: the
    processes share a folder and need nothing else of one another, so one that dies takes no other
    with it. Of several on a machine with GPUs each takes its own.

    Raises:
      ConfigError: numbers in the environment that are none.
    """
    import jax

    if jax.distributed.is_initialized():
        return Share(jax.process_index(), jax.process_count())
    for count, index, local, siblings in _VARIABLES:
        if count in os.environ and index in os.environ:
            share = Share(_number(index), _number(count))
            if share.index >= share.count:
                raise ConfigError(
                    f"{index} is {share.index}, of {share.count} processes: they count from 0."
                )
            if share.count > 1 and _first_number(siblings) > 1 and local in os.environ:
                jax.config.update("jax_cuda_visible_devices", str(_number(local)))
            return share
    return ALONE


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


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ConfigError(f"{name} is {text!r}: it must be a whole number.")
    return int(text)


def _first_number(name: str) -> int:
    """Slurm writes ``2(x3),1``: two tasks on each of three machines, one on a fourth."""
    digits = re.match("[0-9]{1,9}", os.environ.get(name, ""))
    return int(digits[0]) if digits else 1
