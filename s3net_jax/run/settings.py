"""Define the settings of a run: output folder, configuration, seeds and rank."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

from s3net_jax.config import Config
from s3net_jax.run.distributed import SINGLE_PROCESS, Rank
from s3net_jax.schema import OutputRecord

__all__ = ["Identity", "OutputOptions", "RunSettings"]


@dataclass(frozen=True)
class OutputOptions:
    """What a run measures, and writes beside label maps, masks and overlays.

    Attributes:
      pixel_size: distances between pixels in millimetres, (x, y) or (x, y, z), which take
        precedence over those of the files; None uses those of the files.
      measure_clusters: whether to measure every cluster, too.
      instances: whether to write and measure the connected parts of the target.
      export: formats of outlines to write (:data:`s3net_jax.measure.EXPORTS`).
      segment_name, segment_code: name and code of the target in DICOM SEG; "" for the defaults of
        :func:`s3net_jax.io.write_seg`.
    """

    pixel_size: tuple[float, ...] | None = None
    measure_clusters: bool = False
    instances: bool = False
    export: tuple[str, ...] = ()
    segment_name: str = ""
    segment_code: str = ""

    @property
    def key(self) -> str:
        """Text that is equal for equal options; empty for the defaults."""
        default = OutputOptions().describe()
        changed = {k: v for k, v in self.describe().items() if v != default[k]}
        return json.dumps(changed, sort_keys=True) if changed else ""

    @classmethod
    def restore(cls, record: OutputRecord) -> OutputOptions:
        """Make options from what :meth:`describe` returned."""
        known = {one.name for one in fields(cls)}
        values = {
            k: tuple(v) if isinstance(v, list) else v for k, v in record.items() if k in known
        }
        return cls(**cast("dict[str, Any]", values))

    def note_unused(self, kinds: Collection[str]) -> list[str]:
        """Note that no input has a DICOM SEG, whose target has a name or code; or return [].

        Args:
          kinds: kinds of the inputs.
        """
        if "dicom" in kinds or not (self.segment_name or self.segment_code):
            return []
        return ["No input is DICOM: the name and code of the target are only written to DICOM SEG."]

    def describe(self) -> OutputRecord:
        """Describe the options for ``run.json``."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True)
class Identity:
    """The properties that all results in a folder share.

    Attributes:
      config: hash of the configuration.
      seed: first seed.
      seeds: number of seeds.
      networks: hash of the trained networks that are applied; "" for fits, and while networks are
        still to be trained.
      options: :attr:`OutputOptions.key`.
    """

    config: str
    seed: int
    seeds: int = 1
    networks: str = ""
    options: str = ""

    @property
    def all_seeds(self) -> range:
        """The seeds to fit every input with."""
        return range(self.seed, self.seed + self.seeds)

    def matches(self, record: Mapping[str, object]) -> bool:
        """Return whether a record of ``results.jsonl`` has this identity."""
        return self.has_same_settings(record) and record.get("networks", "") == self.networks

    def has_same_settings(self, record: Mapping[str, object]) -> bool:
        """Return whether a record has this configuration and these seeds, whatever its networks."""
        found = record.get("config"), record.get("seed"), record.get("seeds", 1)
        options = record.get("options", "")
        return (*found, options) == (self.config, self.seed, self.seeds, self.options)


@dataclass(frozen=True)
class RunSettings:
    """The settings of one run.

    Attributes:
      folder: output folder.
      config: configuration of every fit.
      identity: configuration and seeds that all results in the folder share.
      overwrite: whether to replace existing results.
      rank: rank of this process, which selects its inputs.
      output: measures and further files to write; None writes none.
      command: command line of the run, or "" if it was not started by a command.
    """

    folder: Path
    config: Config
    identity: Identity
    overwrite: bool = False
    rank: Rank = SINGLE_PROCESS
    output: OutputOptions | None = None
    command: str = ""
