"""From logits to label maps and masks: size, compact labels, target, clean-up."""

from __future__ import annotations

from s3net_jax.masks.cleanup import clean, fill_holes
from s3net_jax.masks.consensus import Consensus, consensus
from s3net_jax.masks.joining import LabelPool, majority_labels
from s3net_jax.masks.labels import compact_labels, labels_at_size
from s3net_jax.masks.match import align_labels
from s3net_jax.masks.segments import (
    Segments,
    outlined,
    own_label,
    segment_logits,
    segments_of,
    segments_of_proposals,
)
from s3net_jax.masks.shapes import disc, part_weights
from s3net_jax.masks.target import (
    RULES,
    Target,
    check_point,
    check_target,
    choose_target,
    target_at_size,
)
from s3net_jax.masks.vignette import vignette

__all__ = [
    "RULES",
    "Consensus",
    "LabelPool",
    "Segments",
    "Target",
    "align_labels",
    "check_point",
    "check_target",
    "choose_target",
    "clean",
    "compact_labels",
    "consensus",
    "disc",
    "fill_holes",
    "labels_at_size",
    "majority_labels",
    "outlined",
    "own_label",
    "part_weights",
    "segment_logits",
    "segments_of",
    "segments_of_proposals",
    "target_at_size",
    "vignette",
]
