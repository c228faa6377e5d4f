"""Several fits of one image as one result: members of one seed, and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from s3net_jax.config import Config
from s3net_jax.io import Image
from s3net_jax.masks import add_mask_as_label, consensus, find_proposed_segments
from s3net_jax.run.outcome import Failed, Fitted, Outcome

__all__ = [
    "combine_seeds",
    "has_members",
    "join_members",
    "record_needed_steps",
    "uses_proposals",
]


def uses_proposals(config: Config) -> bool:
    """Return whether the target is sought in the label maps of every step.

    A custom rule names a cluster of the result, which is the only one it can choose from.
    """
    return config.segment.choice == "proposals" and config.segment.target == "auto"


def record_needed_steps(config: Config) -> Config:
    """Have the fits of ``config`` record the label maps of every step, if proposals need them."""
    return config.replace(fit={"record_labels": True}) if uses_proposals(config) else config


def has_members(config: Config) -> bool:
    """Return whether a result takes more than one fit, or more than its last label map."""
    return config.fit.members > 1 or uses_proposals(config)


def join_members(outcomes: Sequence[Outcome], image: Image, config: Config) -> Outcome:
    """Join the members of one image to one result, without those that failed, if others did not.

    ``history``, ``steps`` and ``label_maps`` are those of the member that the target comes from,
    or of the first.

    Args:
      outcomes: outcome of each member, in order; with label maps of every step where
        :func:`uses_proposals`.
      image: the image that was fitted.
      config: configuration of the fits.
    """
    fits = [outcome for outcome in outcomes if isinstance(outcome, Fitted)]
    failed = [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    if not fits:
        return failed[0]
    notes = list(dict.fromkeys(note for fit in fits for note in fit.notes))
    if failed:
        notes.append(
            f"{len(failed)} of the {len(outcomes)} fits failed ({failed[0].reason.rstrip('.')})."
        )
    if uses_proposals(config):
        found, chosen = _choose_proposal(fits, image, config)
    else:
        labels = consensus([fit.labels for fit in fits]).labels
        found, chosen = replace(fits[0], labels=labels), 0
    maps = fits[chosen].label_maps if config.fit.record_labels else None
    seconds = sum(outcome.seconds for outcome in fits)
    return replace(found, label_maps=maps, seconds=seconds, notes=tuple(notes))


def combine_seeds(
    fits: Sequence[Fitted],
) -> tuple[np.ndarray, tuple[int, ...] | None, np.ndarray | None]:
    """Combine the results of several seeds.

    Returns:
      Labels (H, W); the target's, if it was decided with the fits, as most of them have it; of
      several fits, the share of them that agree, (H, W) float32.
    """
    if len(fits) == 1:
        return fits[0].labels, fits[0].target, None
    found = consensus([fit.labels for fit in fits])
    masks = [np.isin(fit.labels, fit.target) for fit in fits if fit.target is not None]
    if not masks:
        return found.labels, None, found.agreement
    whole = add_mask_as_label(found.labels, np.mean(masks, 0) > 0.5)
    return whole.labels, whole.target, found.agreement


def _choose_proposal(fits: list[Fitted], image: Image, config: Config) -> tuple[Fitted, int]:
    """Choose the target among the label maps of all steps of all members.

    Returns:
      The member it comes from, with labels and target, and its number.
    """
    maps: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    members: list[int] = []
    for number, fit in enumerate(fits):
        assert fit.label_maps is not None
        maps += list(fit.label_maps)
        labels += [fit.labels] * len(fit.label_maps)
        members += [number] * len(fit.label_maps)
    segments, place = find_proposed_segments(maps, labels, image, config.segment)
    chosen = members[place]
    return replace(fits[chosen], labels=segments.labels, target=segments.target), chosen
