"""Combine several fits of one image into one result: members of a seed, and seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from s3net_jax.config import Config
from s3net_jax.io import Image
from s3net_jax.masks import add_mask_as_label, consensus, draw_best_proposal, rank_candidates
from s3net_jax.run.confidence import assess_members
from s3net_jax.run.outcome import Failed, Fitted, Outcome

__all__ = [
    "combine_clusters",
    "combine_seeds",
    "combine_stacks",
    "has_members",
    "has_separate_target",
    "join_members",
    "record_needed_steps",
    "uses_proposals",
]


def uses_proposals(config: Config) -> bool:
    """Return whether the target is chosen among the label maps of all steps.

    Only the automatic target does that: other rules choose a cluster of the final label map.
    """
    return config.segment.choice != "clusters" and config.segment.target == "auto"


def has_separate_target(config: Config) -> bool:
    """Return whether label maps can contain the target as a separate cluster."""
    return config.segment.boundary == "local" or uses_proposals(config)


def record_needed_steps(config: Config) -> Config:
    """Make ``config`` record the label maps of every step if proposals need them."""
    return config.replace(fit={"record_labels": True}) if uses_proposals(config) else config


def has_members(config: Config) -> bool:
    """Return whether a result needs more than one fit, or more than the final label map."""
    return config.fit.members > 1 or uses_proposals(config)


def join_members(outcomes: Sequence[Outcome], image: Image, config: Config) -> Outcome:
    """Join the members of one image into one result; ignore failed members unless all failed.

    ``history``, ``steps``, ``label_maps``, ``member``, ``logits`` and ``params`` come from the
    member that provides the target, or from the first successful one.

    Args:
      outcomes: outcome of each member, in order; with the label maps of every step if
        :func:`uses_proposals` holds.
      image: fitted image.
      config: configuration of the fits.
    """
    fits = [outcome for outcome in outcomes if isinstance(outcome, Fitted)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    if not fits:
        return failed[0]
    notes = list(dict.fromkeys(note for fit in fits for note in fit.notes))
    if failed:
        notes.append(
            f"{len(failed)} of {len(outcomes)} fits failed ({failed[0].reason.rstrip('.')})."
        )
    labels = fits[0].labels if len(fits) == 1 else consensus([fit.labels for fit in fits]).labels
    if uses_proposals(config):
        found, chosen = _choose_proposal(fits, image, config)
        # Other target rules choose among these clusters, here and when a result is retargeted.
        found = replace(found, clusters=labels)
    else:
        found, chosen = replace(fits[0], labels=labels), 0
    maps = fits[chosen].label_maps if config.fit.record_labels else None
    seconds = sum(outcome.seconds for outcome in fits)
    return replace(found, label_maps=maps, seconds=seconds, notes=tuple(notes))


def combine_seeds(
    fits: Sequence[Fitted],
) -> tuple[np.ndarray, tuple[int, ...] | None, np.ndarray | None]:
    """Combine the results of several seeds.

    Returns:
      ``(labels, target, agreement)``: (H, W) consensus labels; target labels, which cover the
      pixels that more than half of the fits select, or None if the fits did not choose a target;
      (H, W) float32 share of fits that agree, or None for a single fit.
    """
    if len(fits) == 1:
        return fits[0].labels, fits[0].target, None
    found = consensus([fit.labels for fit in fits])
    masks = [np.isin(fit.labels, fit.target) for fit in fits if fit.target is not None]
    if not masks:
        return found.labels, None, found.agreement
    whole = add_mask_as_label(found.labels, np.mean(masks, 0) > 0.5)
    return whole.labels, whole.target, found.agreement


def combine_clusters(fits: Sequence[Fitted]) -> np.ndarray | None:
    """Combine the clusters of several seeds, without any target; (H, W) int32 labels.

    The result is None if there are no fits.
    """
    if not fits:
        return None
    maps = [fit.labels if fit.clusters is None else fit.clusters for fit in fits]
    return maps[0] if len(maps) == 1 else consensus(maps).labels


def combine_stacks(
    fits: Mapping[tuple[int, int], Fitted], count: int, seeds: Sequence[int]
) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    """Combine the seeds of a volume whose slices have common labels, so that they stay common.

    Args:
      fits: (slice, seed) → labels of one slice, none of a slice that has a single value.
      count: number of slices.
      seeds: seeds, at least two.

    Returns:
      ``(maps, shares)``: for each slice the consensus labels and the share of seeds that agree,
      both (H, W), or None.
    """
    filled = [n for n in range(count) if (n, seeds[0]) in fits]
    # All slices one below the other, as one tall image: a label is aligned once for the volume.
    tall = [np.concatenate([fits[n, seed].labels for n in filled]) for seed in seeds]
    found = consensus(tall)
    maps: list[np.ndarray | None] = [None] * count
    shares: list[np.ndarray | None] = [None] * count
    labels = np.split(found.labels, len(filled))
    agreement = np.split(found.agreement, len(filled))
    for place, n in enumerate(filled):
        maps[n], shares[n] = labels[place], agreement[place]
    return maps, shares


def _choose_proposal(fits: list[Fitted], image: Image, config: Config) -> tuple[Fitted, int]:
    """Choose the target among the label maps of all steps of all members.

    Returns:
      ``(fit, number)``: the member that provides the target, with new labels and target, and its
      number.
    """
    maps: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    members: list[int] = []
    for number, fit in enumerate(fits):
        assert fit.label_maps is not None
        maps += list(fit.label_maps)
        labels += [fit.labels] * len(fit.label_maps)
        members += [number] * len(fit.label_maps)
    ranking = rank_candidates(maps, image.rgb8(), config.segment)
    segments, place = draw_best_proposal(ranking, labels, image, config.segment)
    chosen = members[place]
    found = replace(
        fits[chosen],
        labels=segments.labels,
        target=segments.target,
        confidence=assess_members(ranking, segments.mask, members, config),
    )
    return found, chosen
