"""The files of the networks that a run trains on its inputs, or is given."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, DivergedError, InputError, OutputError, RecordError
from s3net_jax.io import collect_receipts, remove_file, sync_folder
from s3net_jax.run.content import digest_input, join_digests
from s3net_jax.run.inputs import Source
from s3net_jax.run.network import NetworkFile
from s3net_jax.run.opening import open_input
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.plan import Task
from s3net_jax.run.settings import RunSettings
from s3net_jax.run.summary import Listener
from s3net_jax.run.training import TrainingSet, describe_small_set
from s3net_jax.schema import NetworkRecord, TrainingRecord, conform

__all__ = ["Models", "find_models", "open_model", "train_models"]

_REMEDY = "choose another output folder, or train again with --overwrite"
_NO_EFFECT = (
    *("preset", "model.implementation"),
    *("fit.members", "fit.stop_labels", "fit.stop_after", "fit.record_labels"),
)
"""Fields outside the section ``segment`` that do not change a training on many images."""


@dataclass
class Models:
    """The trained networks of a run; empty if every input is fitted.

    Attributes:
      networks: seed → network.
      records: seed → record for ``run.json``.
      missing: seeds whose networks are still to be trained.
    """

    networks: dict[int, NetworkFile] = field(default_factory=dict)
    records: dict[int, NetworkRecord] = field(default_factory=dict)
    missing: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """Hash of all networks; "" without networks, and while some are missing."""
        if self.missing or not self.networks:
            return ""
        return join_digests([self.networks[seed].digest for seed in sorted(self.networks)])


def open_model(path: Path, config: Config, seed: int, seeds: int) -> Models:
    """Open a network that the user gives.

    Raises:
      InputError: the file can't be read.
      ConfigError: the network belongs to another configuration, or there are several seeds.
    """
    from s3net_jax.fitting import load_params, read_network

    if seeds > 1:
        raise ConfigError(
            f"A trained network gives the same result for every seed, but {seeds} seeds are given: "
            "drop --seeds, or drop --model."
        )
    load_params(path, config)
    digest = read_network(path).digest
    network = NetworkFile(Path(os.path.abspath(path)), digest)
    return Models({seed: network}, {seed: {"file": str(path), "sha256": digest}})


def find_models(settings: RunSettings, sources: Sequence[Source], log: ResultLog) -> Models:
    """Find the networks that an earlier run trained on the same inputs with the same settings.

    Args:
      settings: settings of the run; with ``overwrite``, every network counts as missing.
      sources: inputs of the run.
      log: log of the output folder.

    Raises:
      OutputError: a file is not such a network; the message says why and what to do.
      ConfigError: a network is missing, and several processes share the inputs.
    """
    models = Models()
    digests: set[str] = set()
    for seed in settings.identity.all_seeds:
        path = _locate(settings, seed)
        if settings.overwrite or not os.path.lexists(path):
            models.missing += (seed,)
            continue
        digests = digests or _digest_inputs(sources, log)
        training, digest = _read_model(path, seed, settings.config)
        _check_inputs(path, training, digests)
        _add(models, path, digest, training, settings.config)
    if models.missing and settings.rank.count > 1:
        raise ConfigError(
            f"The preset {settings.config.preset} trains one network on all inputs, and "
            f"{settings.rank.count} processes share them: run the command once in a single "
            "process, or apply a trained network with --model."
        )
    return models


def train_models(
    models: Models, tasks: Sequence[Task], settings: RunSettings, listener: Listener
) -> None:
    """Train the missing networks on all inputs that can be read, and write their files.

    If no input can be read, nothing is trained: every input then fails with its own reason.

    Args:
      models: networks of the run; the new ones are added.
      tasks: inputs of the run.
      settings: settings of the run.
      listener: object that receives the events of the run.

    Raises:
      ConfigError: the training diverged, or its settings can't be used.
      OutputError: a file can't be written.
    """
    from s3net_jax.fitting import save_params

    for seed in models.missing:  # so that resuming a run that is killed now trains again
        remove_file(_locate(settings, seed))
    images, inputs, unread = _read_images(tasks, settings, listener)
    if not len(images):
        return
    steps = settings.config.fit.steps
    some = "1 image" if len(images) == 1 else f"{len(images)} images"
    for seed in models.missing:
        listener.say(f"Training one network on {some} with seed {seed}, {steps} steps.")
        try:
            params, seconds = images.train(seed, _make_progress(listener, steps))
        except DivergedError as error:
            raise ConfigError(str(error)) from None
        training: TrainingRecord = {
            "seed": seed,
            "images": len(images),
            "seconds": round(seconds, 3),
            "inputs": sorted(inputs),
            "unread": sorted(unread),
        }
        path = _locate(settings, seed)
        with collect_receipts() as files:
            save_params(path, params, settings.config, training={**training})
        sync_folder(settings.folder)
        _add(models, path, files[path.name].sha256, training, settings.config)
        listener.say(
            f"The training took {seconds:.1f} s; the seconds of every image include an equal share."
        )
    models.missing = ()
    listener.show_phase("prediction")


def _locate(settings: RunSettings, seed: int) -> Path:
    """Return the path of a network: ``model.npz``, or ``model-SEED.npz`` for several seeds."""
    several = settings.identity.seeds > 1
    return settings.folder / (f"model-{seed}.npz" if several else "model.npz")


def _add(models: Models, path: Path, digest: str, training: TrainingRecord, config: Config) -> None:
    seed, images, seconds = training["seed"], training["images"], training["seconds"]
    share, note = seconds / images, describe_small_set(images, config)
    models.networks[seed] = NetworkFile(Path(os.path.abspath(path)), digest, share, note)
    models.records[seed] = {
        "file": path.name,
        "sha256": digest,
        "seed": seed,
        "images": images,
        "seconds": seconds,
    }


def _make_progress(listener: Listener, steps: int) -> Callable[[int, dict[str, float]], None]:
    def tell(step: int, record: dict[str, float]) -> None:
        listener.show_training(step, steps, record["loss"])

    return tell


def _read_images(
    tasks: Sequence[Task], settings: RunSettings, listener: Listener
) -> tuple[TrainingSet, list[str], list[str]]:
    """Read all inputs at the size of the network.

    Returns:
      ``(images, inputs, unread)``: the images, tiles and slices; the digests of their inputs; and
      those of inputs that can't be read, where the files themselves can.
    """
    images = TrainingSet(settings.config)
    inputs: list[str] = []
    unread: list[str] = []
    failed = 0
    for number, task in enumerate(tasks):
        listener.show_phase("reading", number, len(tasks))
        try:
            opened = open_input(task, settings)
        except (ConfigError, OutputError):
            raise
        except Exception:  # reported when the run reaches the input
            failed += 1
            digest = digest_input(task.source)
            unread += [] if digest is None else [digest]
            continue
        for index in range(len(opened.case)):
            piece = opened.case.piece(index)
            if piece is not None:
                images.add(piece)
        inputs.append(opened.content.digest)
    if failed and len(images):
        listener.say(
            f"{failed} of {len(tasks)} inputs can't be read and are left out of the training."
        )
    return images, inputs, unread


def _digest_inputs(sources: Sequence[Source], log: ResultLog) -> set[str]:
    """Digest all inputs; one that can't be read now counts with the content of its result."""
    found: set[str] = set()
    for source in sources:
        record = log.find_result(source.stem) or {}
        digest = digest_input(source) or record.get("sha256")
        if digest:
            found.add(digest)
    return found


def _read_model(path: Path, seed: int, config: Config) -> tuple[TrainingRecord, str]:
    """Read how a network in the output folder was trained, and the digest of its file.

    Raises:
      OutputError: the file is no network that a run trained with this configuration and seed.
    """
    from s3net_jax.fitting import describe_differences, read_network

    try:
        found = read_network(path)
        conform(found.training, TrainingRecord, "")
        training = cast(TrainingRecord, found.training)
    except InputError:
        raise OutputError(
            f"{path} is unreadable, damaged or no trained network: {_REMEDY}."
        ) from None
    except RecordError:
        raise OutputError(
            f"{path} was not trained by s3net segment: apply it with --model, {_REMEDY}."
        ) from None
    differences = describe_differences(
        found.config,
        config,
        lambda name: not name.startswith("segment.") and name not in _NO_EFFECT,
    )
    if training["seed"] != seed:
        differences = differences or f"seed={training['seed']} instead of {seed}"
    if differences:
        raise OutputError(f"{path} was trained with {differences}: {_REMEDY}.")
    return training, found.digest


def _check_inputs(path: Path, training: TrainingRecord, digests: set[str]) -> None:
    """Raise :class:`OutputError` if a network was trained on other inputs."""
    trained = set(training["inputs"])
    new, gone = len(digests - trained - set(training["unread"])), len(trained - digests)
    if new or gone:
        raise OutputError(
            f"{path} was trained on other inputs ({new} new, {gone} missing): {_REMEDY}; or apply "
            f"this network to them with s3net segment --model {path}."
        )
