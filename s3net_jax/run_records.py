"""Types of ``run.json``: the settings, machine and outcome of a run."""

# No "from __future__ import annotations": it hides Required from TypedDict in Python 3.11.

from typing import Any, Required, TypedDict

from s3net_jax.conform import Count, Number, Seconds
from s3net_jax.result_names import Digest

__all__ = [
    "DeviceRecord",
    "EngineRecord",
    "NetworkRecord",
    "OutputRecord",
    "RunRecord",
    "SharedRecord",
    "TrainingRecord",
]


class OutputRecord(TypedDict, total=False):
    """Output options of a run: ``output`` in ``run.json``; ``pixel_size`` is (x, y[, z]) in mm."""

    pixel_size: list[Number] | None
    measure_clusters: bool
    instances: bool
    export: list[str]
    segment_name: str
    segment_code: str


class DeviceRecord(TypedDict, total=False):
    """The machine of a run: ``devices`` in ``run.json``."""

    system: str
    processor: str
    threads: int
    backend: str
    devices: list[str]


class EngineRecord(TypedDict, total=False):
    """The engine of a run, in ``run.json``; ``workers`` and ``worker_device`` if it has workers."""

    engine: str
    batch: int | str
    workers: Count
    worker_device: str


class TrainingRecord(TypedDict):
    """How a run trained a network on its inputs; also kept in the network's file.

    ``images`` is the number of images, tiles and slices, and ``seconds`` the time of the training.
    ``inputs`` are the sorted SHA-256 of the inputs that it saw, ``unread`` those of the inputs that
    could not be read.
    """

    seed: Count
    images: Count
    seconds: Seconds
    inputs: list[Digest]
    unread: list[Digest]


class SharedRecord(TypedDict):
    """How the network of a volume was trained: one of ``shared`` in ``results.jsonl``.

    ``slices`` are the slices of the training, from 1; ``member`` is the number of the network among
    the ``fit.members`` of the seed, from 0, and ``steps`` the step after which it was taken.
    """

    seed: Count
    slices: list[Count]
    member: Count
    steps: Count
    seconds: Seconds
    sha256: Digest


class NetworkRecord(TypedDict, total=False):
    """A trained network that a run applied: file and SHA-256; the rest if the run trained it."""

    file: str
    sha256: Digest
    seed: Count
    images: Count
    seconds: Seconds


class RunRecord(EngineRecord, total=False):
    """``run.json``; ``commit`` is the commit of the package's checkout, or null."""

    status: str
    started: str
    seconds: Seconds
    command: str
    inputs: Count
    done: Count
    skipped: Count
    failed: Count
    to_check: Count
    failures: list[str]
    notes: list[str]
    images_per_minute: Number | None
    seconds_first_image: Number | None
    seconds_median_later: Number | None
    seed: Count
    seeds: Count
    process: Count
    processes: Count
    networks: list[NetworkRecord]
    config_digest: Required[str]
    config: dict[str, Any]
    output: OutputRecord
    versions: dict[str, str]
    commit: str | None
    devices: DeviceRecord
    implementations: dict[str, list[str]]
