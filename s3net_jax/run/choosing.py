"""Choose or correct the target of finished label maps, without a fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from s3net_jax.config import Config
from s3net_jax.masks import (
    Pick,
    Segments,
    add_mask_as_label,
    apply_pick,
    solve_marks,
)
from s3net_jax.run.cases import Case

__all__ = ["Chosen", "choose_again", "correct_with_marks", "make_choice_config"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """A target that was chosen again.

    Attributes:
      whole: labels, mask and target of the whole input.
      clusters: label map without the target, if ``whole.labels`` contains the target as a separate
        cluster; otherwise None.
    """

    whole: Segments
    clusters: np.ndarray | None


def make_choice_config(config: Config, choice: str | Pick) -> Config:
    """Make the configuration with which :func:`choose_again` needs its case to be opened.

    A rule becomes ``segment.target``. Clusters that are named keep their regions at the border,
    because whoever names them has seen them. Changes of the present target keep its outline, which
    may be corrected already.
    """
    if isinstance(choice, str):
        return config.replace(segment={"target": choice})
    changes: dict[str, object] = {"target": "all", "drop_border": False}
    if not choice.groups:
        changes["boundary"] = "clusters"
    return config.replace(segment=changes)


def choose_again(case: Case, clusters: np.ndarray, present: Segments, choice: str | Pick) -> Chosen:
    """Choose another target in a label map.

    Args:
      case: opened input, with the configuration of :func:`make_choice_config`.
      clusters: label map without the target, (H, W) or (slices, H, W).
      present: present result.
      choice: rule or labels; see :func:`s3net_jax.masks.parse_choice`.

    Raises:
      InputError: a label does not exist, a point is outside the image, or nothing is selected.
    """
    if isinstance(choice, str):
        return _describe(case.choose(clusters), clusters)
    is_same = np.array_equal(clusters, present.labels)
    known = present.target if is_same else ()
    picked = apply_pick(choice, clusters, present.mask, known, case.name)
    whole = case.select(picked.clusters, picked.raw, picked.target)
    if not choice.groups and not is_same and case.volume is None:
        whole = add_mask_as_label(picked.clusters, whole.mask)
    return _describe(whole, picked.clusters)


def correct_with_marks(
    case: Case, clusters: np.ndarray, mask: np.ndarray, inside: np.ndarray, outside: np.ndarray
) -> Chosen:
    """Correct a mask with marks; see :func:`s3net_jax.masks.solve_marks`.

    Args:
      case: opened picture.
      clusters: label map without the target, (H, W).
      mask: (H, W) bool mask to correct.
      inside, outside: (H, W) bool marks.

    Raises:
      InputError: there are no marks, or a pixel has both marks.
    """
    (panel,) = case.panels(Segments(clusters, mask, ()))
    solved = solve_marks(panel.image, clusters, mask, inside, outside, case.name)
    return _describe(add_mask_as_label(clusters, solved), clusters)


def _describe(whole: Segments, clusters: np.ndarray) -> Chosen:
    is_same = np.array_equal(whole.labels, clusters)
    return Chosen(whole, None if is_same else clusters)
