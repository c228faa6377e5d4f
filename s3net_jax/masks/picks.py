"""Pick the clusters of a target by their labels, and merge or drop clusters."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from s3net_jax.errors import ConfigError, InputError
from s3net_jax.masks.labels import compact_labels
from s3net_jax.masks.target import check_target

__all__ = ["PICK_RULES", "Pick", "Picked", "apply_pick", "parse_choice"]

PICK_RULES = ("label:2,3", "label:2+3", "label:+4,-5")
"""Examples of the three forms that :func:`parse_choice` accepts in addition to the target rules."""

_LISTED = 20  # maximum number of labels that an error lists
_LIST = re.compile(r"[0-9]{1,9}(\+[0-9]{1,9})*(,[0-9]{1,9}(\+[0-9]{1,9})*)*")
_CHANGES = re.compile(r"[+-][0-9]{1,9}(,[+-][0-9]{1,9})*")


@dataclass(frozen=True)
class Pick:
    """Clusters that a target consists of, or by which it changes.

    Attributes:
      groups: labels of the target; the clusters of one group are merged.
      added: labels to add to the present target, if ``groups`` is empty.
      dropped: labels to remove from the present target, if ``groups`` is empty.
    """

    groups: tuple[tuple[int, ...], ...] = ()
    added: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()

    @property
    def labels(self) -> tuple[int, ...]:
        """All labels that are named, in the given order."""
        return (*(label for group in self.groups for label in group), *self.added, *self.dropped)


@dataclass(frozen=True, eq=False)
class Picked:
    """The pixels that a pick selects.

    Attributes:
      clusters: compact labels, with merged clusters; int32 of the shape of the label map.
      raw: bool array of the same shape, the selected pixels before any clean-up.
      target: labels of the selected clusters in ``clusters``, in ascending order.
    """

    clusters: np.ndarray
    raw: np.ndarray
    target: tuple[int, ...]


def parse_choice(text: str) -> str | Pick:
    """Parse a target: one of the rules of :func:`check_target`, or ``label:`` and labels.

    The forms of labels are

    - ``label:GROUP,GROUP,...``: the target is these clusters. A group is a label, or several
      labels joined by ``+``, which become one cluster.
    - ``label:+N,-N,...``: the present target with (``+``) or without (``-``) these clusters.

    Returns:
      The rule, or the pick.

    Raises:
      ConfigError: ``text`` is neither a rule nor a list of labels, or names a label twice.
    """
    rule, colon, labels = text.strip().partition(":")
    if rule.strip() != "label":
        check_target(text.strip())
        return text.strip()
    labels = "".join(labels.split())
    if colon and _LIST.fullmatch(labels):
        groups = [tuple(map(int, group.split("+"))) for group in labels.split(",")]
        pick = Pick(groups=tuple(groups))
    elif colon and _CHANGES.fullmatch(labels):
        changes = [(part[0], int(part[1:])) for part in labels.split(",")]
        added, dropped = (tuple(n for sign, n in changes if sign == kind) for kind in "+-")
        pick = Pick(added=added, dropped=dropped)
    else:
        raise ConfigError(
            f"Invalid target {text!r}: write label:2,3 for clusters 2 and 3, label:2+3 to merge "
            "them, or label:+4,-5 to add cluster 4 to the present target and remove cluster 5."
        )
    twice = sorted({label for label in pick.labels if pick.labels.count(label) > 1})
    if twice:
        raise ConfigError(f"Invalid target {text!r}: it names label {twice[0]} twice.")
    return pick


def apply_pick(
    pick: Pick, labels: np.ndarray, mask: np.ndarray, target: tuple[int, ...], name: str
) -> Picked:
    """Select the pixels of a pick.

    Args:
      pick: clusters to select.
      labels: integer label map, (H, W) or (slices, H, W).
      mask: bool array of the same shape, the present mask.
      target: labels of the present target, or () if they are not labels of this map.
      name: name of the image in error messages.

    Raises:
      InputError: a label does not exist, or no pixel is selected.
    """
    known = np.unique(labels)
    missing = [label for label in pick.labels if label not in known]
    if missing:
        raise InputError(f"{name} has no cluster {missing[0]}; {_describe_labels(known)}.")
    if pick.groups:
        merged = labels.copy()
        for group in pick.groups:
            merged[np.isin(labels, group)] = group[0]
        raw = np.isin(labels, pick.labels)
        clusters = compact_labels(merged)
        return Picked(clusters, raw, tuple(np.unique(clusters[raw]).tolist()))
    raw = (mask | np.isin(labels, pick.added)) & ~np.isin(labels, pick.dropped)
    if not raw.any():
        raise InputError(
            f"Nothing is left of the target of {name}: remove fewer clusters, or list the clusters "
            "of the new target."
        )
    kept = (set(target) | set(pick.added)) - set(pick.dropped)
    return Picked(labels, raw, tuple(sorted(kept)))


def _describe_labels(known: np.ndarray) -> str:
    values = known.tolist()
    if values == list(range(len(values))) and len(values) > 1:
        return f"its clusters are 0 to {values[-1]}"
    more = f" and {len(values) - _LISTED} more" if len(values) > _LISTED else ""
    noun = "clusters are" if len(values) > 1 else "only cluster is"
    return f"its {noun} {', '.join(map(str, values[:_LISTED]))}{more}"
