"""Train one network on slices that are spread over a volume, for all of its slices."""

from __future__ import annotations

import dataclasses
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import DivergedError
from s3net_jax.io import Image, compute_prepared_shape, prepare
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.masks import compute_labels, find_best_split, spread, thin_volume
from s3net_jax.run.fitter import GENTLER, Progress
from s3net_jax.run.network import Network, SharedNetwork, is_trained_on_folder
from s3net_jax.run.pieces import Case
from s3net_jax.run.training import TrainingSet
from s3net_jax.schema import SharedRecord

__all__ = ["Shared", "choose_volume_mode", "find_networks"]

_VALUES = 1 << 24
"""Largest number of values in a feature map of a mini-batch. A step keeps about 50 such maps (the
fit of one image of 256×256 with 64 channels, 2²² values, takes 850 MiB), so 2²⁴ float32 values need
about 3 GiB. The preset ``best`` trains on all eight slices in every step, ``paper`` on four."""

_MOST = 8  # largest mini-batch: the default of fit_dataset


class Shared(NamedTuple):
    """The networks that label the slices of a volume.

    Attributes:
      networks: seed → network; empty if every piece is fitted.
      records: how each network was trained, for ``results.jsonl``.
    """

    networks: Mapping[int, Network]
    records: list[SharedRecord]


class _Candidate(NamedTuple):
    """A network during or after its training, and how well its clusters split the slices."""

    score: float
    member: int
    step: int
    params: Any


def find_networks(
    case: Case,
    config: Config,
    seeds: Sequence[int],
    networks: Mapping[int, Network],
    show: Callable[[int, int], None],
    progress: Progress | None = None,
) -> Shared:
    """Find the networks that label the pieces of an input; train them if it is a volume.

    Args:
      case: opened input.
      config: configuration, whose ``fit.volume`` is read.
      seeds: seeds of the run.
      networks: networks of the whole run; empty if there are none.
      show: function called with the number of finished trainings and the number of all.
      progress: listener of every step; it needs a program that JAX can't keep on disk.

    Raises:
      ConfigError: the configuration can't be used on this machine, or for slices of this shape.
      DivergedError: every training of a seed diverged, also with a quarter of the learning rate.
      MemoryError: memory ran out.
    """
    if case.volume is None or config.fit.volume == "slices":
        return Shared(networks, [])
    if networks:
        common = {s: dataclasses.replace(one, is_common=True) for s, one in networks.items()}
        return Shared(common, [])
    assert not is_trained_on_folder(config)  # its networks are trained before any input is opened
    found, records = dict[int, Network](), list[SharedRecord]()
    for number, seed in enumerate(seeds):
        done, total = number * config.fit.members, len(seeds) * config.fit.members
        show(done, total)

        def count(n: int, done: int = done, total: int = total) -> None:
            show(done + n, total)

        network, record = _train_shared(case, config, seed, count, progress)
        found[seed] = network
        records.append(record)
    return Shared(found, records)


def choose_volume_mode(config: Config, one_network: bool | None) -> Config:
    """Set ``fit.volume`` as the argument ``one_network`` of a caller asks; None keeps it.

    Raises:
      TypeError: ``one_network`` is something else.
    """
    if one_network is None:
        return config
    if not isinstance(one_network, bool):
        raise TypeError(f"one_network is {one_network!r}: give True, False or None.")
    return config.replace(fit={"volume": "shared" if one_network else "slices"})


def _train_shared(
    case: Case,
    config: Config,
    seed: int,
    show: Callable[[int], None],
    progress: Progress | None,
) -> tuple[SharedNetwork, SharedRecord]:
    """Train the members of one seed, and keep the network with the best single cluster."""
    start = time.perf_counter()
    filled = [n for n in range(len(case)) if case.piece(n) is not None]
    numbers = spread(filled, config.fit.slices)
    slices = [piece for n in numbers if (piece := case.piece(n)) is not None]
    members, notes = [], list[str]()
    reason: DivergedError | None = None
    for member in range(config.fit.members):
        try:
            params, rate = _train_gently(slices, config, seed, member, progress)
        except DivergedError as error:
            reason = error
            notes.append(f"{error} The network {member + 1} of {config.fit.members} is left out.")
        else:
            members.append((member, params))
            if rate != config.fit.learning_rate:
                notes.append(
                    "The training of the volume's network diverged with fit.learning_rate="
                    f"{config.fit.learning_rate:g}; this is the result with {rate:g}."
                )
        show(member + 1)
    if not members:
        assert reason is not None
        raise reason
    best = _choose_network(case, config, numbers, slices, members)
    digest = hashlib.sha256()
    for leaf in _list_leaves(best.params):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    seconds = time.perf_counter() - start
    network = SharedNetwork(digest.hexdigest(), best.params, seconds / len(filled), " ".join(notes))
    record: SharedRecord = {
        "seed": seed,
        "slices": [n + 1 for n in numbers],
        "member": best.member,
        "steps": best.step,
        "seconds": round(seconds, 3),
        "sha256": network.digest,
    }
    return network, record


def _train_gently(
    slices: Sequence[Image], config: Config, seed: int, member: int, progress: Progress | None
) -> tuple[Any, float]:
    """Train one network; if that diverges, repeat it once with a quarter of the learning rate.

    Returns:
      ``(params, rate)``: parameters after every step if the target is chosen among the label maps
      of all steps, otherwise after the last one; and the learning rate.
    """
    height, width = compute_prepared_shape(slices[0].shape, config.input)
    values = height * width * config.model.channels
    batch = max(1, min(_MOST, len(slices), _VALUES // values))
    keep = _keeps_steps(config)
    rate = config.fit.learning_rate
    for factor in (1, GENTLER):
        gentle = config.replace(fit={"learning_rate": rate * factor})
        try:
            trained = TrainingSet(gentle, slices).train(
                *(seed, progress),
                member=member,
                keep_steps=keep,
                batch=batch,
                is_silent=progress is None,
            )
            return trained.params, rate * factor
        except DivergedError:
            if factor != 1:
                raise
    raise AssertionError("the loop returns or raises")


def _keeps_steps(config: Config) -> bool:
    """Return whether the network after every step is a candidate.

    It does not depend on the target, so that another rule chooses among the same clusters.
    """
    from s3net_jax.methods import get_method

    is_stepwise = get_method(config.method.name).fit_images is None
    return config.segment.choice != "clusters" and is_stepwise


def _choose_network(
    case: Case,
    config: Config,
    numbers: list[int],
    slices: Sequence[Image],
    members: list[tuple[int, Any]],
) -> _Candidate:
    """Choose the network, and the step of its training, with the cluster that splits them best.

    Unions of clusters do not count here. Early networks have more than twenty clusters, of which a
    union may split the slices slightly better than a single cluster of a later network, but
    ``dark``, ``bright`` and picks need the target to be one cluster. In six volumes (two parts of
    the public CT of TotalSegmentator, stacked CT slices, and drawn trunks with lungs, a bright
    organ or a cyst) the mean DSC of ``dark`` or ``bright``, whichever names the target, was 48 with
    unions and 77 without, and that of ``auto`` 67 and 77.

    Args:
      case: volume.
      config: configuration.
      numbers: slices of the training.
      slices: their images.
      members: number and parameters of each member.
    """
    import jax

    steps, keep = config.fit.steps, _keeps_steps(config)
    candidates = [
        _Candidate(-1.0, m, n + 1, jax.tree.map(lambda leaf, n=n: leaf[n], params))
        for m, params in members
        for n in range(steps)
        if keep
    ] or [_Candidate(-1.0, m, steps, params) for m, params in members]
    if len(candidates) == 1:
        return candidates[0]

    def get_image(n: int) -> np.ndarray:
        image = case.piece(n)
        assert image is not None
        return image.rgb8()

    thin = thin_volume(numbers, get_image)
    images = np.stack([prepare(image, config.input) for image in slices])
    shape = compute_prepared_shape(case.pixels, config.input)
    best = candidates[0]
    for one in candidates:
        labels = _label(one.params, images, config, shape)
        labels = _resample(labels, thin.pixels.shape[1:3])
        _, score = find_best_split(labels, thin, config.segment, unions=False)
        if score > best.score:
            best = one._replace(score=score)
    return best


def _label(params: Any, images: np.ndarray, config: Config, shape: tuple[int, int]) -> np.ndarray:
    """Label prepared slices with a network: (N, h, w) int32."""
    from s3net_jax.fitting import predict

    with use_default_settings():
        logits = (np.asarray(predict(params, image, config)) for image in images)
        return np.stack([compute_labels(one, shape) for one in logits])


def _resample(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resample labels (N, h, w) to another size by nearest neighbour."""
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(shape, labels.shape[1:], strict=True)
    )
    return labels[:, rows][:, :, columns]


def _list_leaves(params: Any) -> list[np.ndarray]:
    import jax

    return [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
