"""Several processes, one folder: the part of the inputs that each of them does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from s3net_jax.config import ConfigError

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
    """This process's share, in a set-up that ``jax.distributed`` knows.

    Recognised are Slurm (``srun`` with several tasks), Open MPI (``mpirun``), and the variables
    ``JAX_COORDINATOR_ADDRESS`` (``host:port`` of process 0), ``JAX_NUM_PROCESSES`` and
    ``JAX_PROCESS_ID``. Then ``jax.distributed.initialize`` connects the processes, which sees to
    it that each has its own devices; each does its own share with them.

    Raises:
      ConfigError: the processes could not be connected.
    """
    settings = _settings()
    if settings is None:
        return ALONE
    import jax

    try:
        jax.distributed.initialize(**settings)
        return Share(jax.process_index(), jax.process_count())
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ConfigError(f"The processes could not be connected ({first}).") from None


def _settings() -> dict[str, Any] | None:
    """Arguments of ``jax.distributed.initialize``; None where there is one process."""
    found = os.environ
    if "JAX_COORDINATOR_ADDRESS" in found:
        if "JAX_NUM_PROCESSES" not in found and "JAX_PROCESS_ID" not in found:
            return {}
        return {
            "num_processes": _number("JAX_NUM_PROCESSES"),
            "process_id": _number("JAX_PROCESS_ID"),
        }
    for count in ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE"):
        # A batch script itself has the number of tasks, but no step of them.
        inside = "SLURM_STEP_NODELIST" in found or "OMPI_COMM_WORLD_RANK" in found
        if inside and found.get(count, "1").isdecimal() and int(found.get(count, "1")) > 1:
            return {}
    return None


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal():
        raise ConfigError(
            f"{name} is {text!r}: with JAX_COORDINATOR_ADDRESS it must be a whole number."
        )
    return int(text)
