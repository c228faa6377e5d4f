"""From logits to label maps and masks: size, compact labels, target, clean-up."""

from __future__ import annotations

from s3net_jax.masks.cleanup import clean
from s3net_jax.masks.labels import compact_labels, labels_at_size
from s3net_jax.masks.segments import Segments, segment_logits
from s3net_jax.masks.target import RULES, Target, check_target, choose_target

__all__ = [
    "RULES",
    "Segments",
    "Target",
    "check_target",
    "choose_target",
    "clean",
    "compact_labels",
    "labels_at_size",
    "segment_logits",
]
