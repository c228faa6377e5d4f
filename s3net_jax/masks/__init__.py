"""Turn logits into label maps and masks: resizing, compact labels, target choice, clean-up.

Comments at constants give their sensitivity: the change of the mean blind DSC, in points, at half
and at double the value, on every second image of the development sets (20 of PH², 20 of lung CT),
with proposals from k-means in place of networks (``baselines.segment_without_network``). "One
slice" is a single lung CT slice whose mask gains or loses 32 points, 1.6 in the mean.
"""

from __future__ import annotations

from s3net_jax.masks.choice import TRAIT_WEIGHTS, find_candidates, rank_candidates, score_traits
from s3net_jax.masks.cleanup import clean, fill_holes, fill_pockets
from s3net_jax.masks.confidence import (
    CALIBRATIONS,
    CHECK_BELOW,
    Basis,
    Calibration,
    Confidence,
    assess_mask,
    assess_proposals,
    average_confidence,
    find_basis,
    join_slices,
    measure_neighbours,
)
from s3net_jax.masks.consensus import Consensus, consensus
from s3net_jax.masks.instances import label_instances
from s3net_jax.masks.joining import LabelPool, find_majority_labels
from s3net_jax.masks.labels import compact_labels, compute_labels
from s3net_jax.masks.marks import Marks, draw_marks, solve_marks
from s3net_jax.masks.match import align_labels
from s3net_jax.masks.merging import merge_clusters
from s3net_jax.masks.picks import PICK_RULES, Pick, Picked, apply_pick, parse_choice
from s3net_jax.masks.proposals import Ranking, rank_proposals
from s3net_jax.masks.segments import (
    Segments,
    add_mask_as_label,
    draw_best_proposal,
    find_proposed_segments,
    find_segments,
    refine_outline,
    segment_logits,
    select_segments,
)
from s3net_jax.masks.shapes import make_disc, weigh_parts
from s3net_jax.masks.solid import clean_volume, find_outliers
from s3net_jax.masks.target import (
    RULES,
    Target,
    check_point,
    check_target,
    choose_target,
    rescale_target,
)
from s3net_jax.masks.traits import TRAITS
from s3net_jax.masks.vignette import find_vignette
from s3net_jax.masks.volume import (
    ThinVolume,
    choose_volume_target,
    draw_volume_mask,
    find_best_split,
    spread,
    thin_volume,
)

__all__ = [
    "CALIBRATIONS",
    "CHECK_BELOW",
    "PICK_RULES",
    "RULES",
    "TRAITS",
    "TRAIT_WEIGHTS",
    "Basis",
    "Calibration",
    "Confidence",
    "Consensus",
    "LabelPool",
    "Marks",
    "Pick",
    "Picked",
    "Ranking",
    "Segments",
    "Target",
    "ThinVolume",
    "add_mask_as_label",
    "align_labels",
    "apply_pick",
    "assess_mask",
    "assess_proposals",
    "average_confidence",
    "check_point",
    "check_target",
    "choose_target",
    "choose_volume_target",
    "clean",
    "clean_volume",
    "compact_labels",
    "compute_labels",
    "consensus",
    "draw_best_proposal",
    "draw_marks",
    "draw_volume_mask",
    "fill_holes",
    "fill_pockets",
    "find_basis",
    "find_best_split",
    "find_candidates",
    "find_majority_labels",
    "find_outliers",
    "find_proposed_segments",
    "find_segments",
    "find_vignette",
    "join_slices",
    "label_instances",
    "make_disc",
    "measure_neighbours",
    "merge_clusters",
    "parse_choice",
    "rank_candidates",
    "rank_proposals",
    "refine_outline",
    "rescale_target",
    "score_traits",
    "segment_logits",
    "select_segments",
    "solve_marks",
    "spread",
    "thin_volume",
    "weigh_parts",
]
