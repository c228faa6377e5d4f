"""Define the settings of a run: output folder, configuration, seeds and rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from s3net_jax.config import Config
from s3net_jax.run.distributed import SINGLE_PROCESS, Rank

__all__ = ["Identity", "RunSettings"]


@dataclass(frozen=True)
class Identity:
    """The properties that all results in a folder share.

    Attributes:
      config: hash of the configuration.
      seed: first seed.
      seeds: number of seeds.
    """

    config: str
    seed: int
    seeds: int = 1

    @property
    def all_seeds(self) -> range:
        """The seeds to fit every input with."""
        return range(self.seed, self.seed + self.seeds)

    def matches(self, record: Mapping[str, object]) -> bool:
        """Return whether a record of ``results.jsonl`` has this identity."""
        found = record.get("config"), record.get("seed"), record.get("seeds", 1)
        return found == (self.config, self.seed, self.seeds)


@dataclass(frozen=True)
class RunSettings:
    """The settings of one run.

    Attributes:
      folder: output folder.
      config: configuration of every fit.
      identity: configuration and seeds that all results in the folder share.
      overwrite: whether to replace existing results.
      rank: rank of this process, which selects its inputs.
      command: command line of the run, or "" if it was not started by a command.
    """

    folder: Path
    config: Config
    identity: Identity
    overwrite: bool = False
    rank: Rank = SINGLE_PROCESS
    command: str = ""
