"""Turn the measures of a mask into an expected DSC and a flag."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.boundary import redraw_at_levels
from s3net_jax.masks.confidence.features import (
    measure_agreement,
    measure_contrast,
    measure_margin,
    measure_members,
    measure_opinions,
    measure_stability,
)
from s3net_jax.masks.proposals import Ranking

__all__ = [
    "CHECK_BELOW",
    "EVIDENCE",
    "WEIGHTS",
    "Confidence",
    "assess_proposals",
    "average_confidence",
    "expect_dsc",
]

WEIGHTS = {
    "constant": -4.903,
    "score": 1.379,
    "agreement": 1.215,
    "margin": 0.416,
    "members": 1.086,
    "stability": 0.666,
    "contrast": 1.713,
    "opinions": 2.118,
}
"""Weights of the measures in the logit of the expected DSC. ``python -m benchmarks.confidence``
fits them on half of the development images; a test compares them with the result file,
``docs/quality/confidence.json``. All are at least 0: every measure is larger for better masks."""

EVIDENCE = tuple(name for name in WEIGHTS if name != "constant")
"""Names of the measures."""

CHECK_BELOW = 0.8
"""Expected DSC below which a mask is flagged: what a mask should reach. On the half of the choice
it flags 26 of 62 masks, and 21 of the 22 with a DSC below 0.8. A limit of 0.75 misses two of these;
0.9 flags 39 masks to find the last one."""

# The next constants were chosen on 41 development images by the area under the receiver operating
# characteristic of the measure without the others, for DSC below 0.7 and below 0.8. It is flat.
_SCALE = 0.2
"""Decay of the weights of :func:`measure_agreement`. 0.1 and 0.4 change the areas by at most 0.05.
With 0.02 only near copies of the best proposal count, and the areas drop to 0.57 and 0.55."""

_DIFFERENT = 0.5
"""DSC below which a proposal is substantially different; 0.3 and 0.7 are within 0.05."""

_STEPS = (-0.2, 0.0)
"""Offsets of the two levels of :func:`measure_stability`. Steps of 0.1 to both sides have areas of
0.75 and 0.78 instead of 0.84: above the level, outlines of good masks move, too."""


@dataclass(frozen=True)
class Confidence:
    """Estimate of how good a mask is, made without ground truth.

    Attributes:
      expected_dsc: expected DSC of the mask with a ground truth, in [0, 1].
      check: whether a person should check the mask, because ``expected_dsc`` is too low.
      evidence: measures that the estimate is made of, each in [0, 1]; empty for an empty mask.
    """

    expected_dsc: float
    check: bool
    evidence: Mapping[str, float]

    @classmethod
    def of_empty_mask(cls) -> Confidence:
        """Return the confidence of an empty mask: no ground truth resembles it."""
        return cls(0.0, True, {})

    def to_record(self) -> dict[str, Any]:
        """Return the fields of ``results.jsonl``, rounded to four digits."""
        return {
            "expected_dsc": round(self.expected_dsc, 4),
            "check": self.check,
            "evidence": {name: round(value, 4) for name, value in self.evidence.items()},
        }

    def __str__(self) -> str:
        advice = ": check this mask" if self.check else ""
        return f"expected DSC {self.expected_dsc:.2f}{advice}"


def expect_dsc(evidence: Mapping[str, float]) -> float:
    """Compute the expected DSC from measures: 1 / (1 + exp(−(w₀ + Σ wₖ xₖ))), in [0, 1].

    Args:
      evidence: value xₖ of each measure in :data:`WEIGHTS`.
    """
    total = WEIGHTS["constant"] + sum(WEIGHTS[name] * value for name, value in evidence.items())
    return 1 / (1 + math.exp(-total))


def _conclude(evidence: Mapping[str, float]) -> Confidence:
    """Make the confidence that follows from measures."""
    expected = expect_dsc(evidence)
    return Confidence(expected, expected < CHECK_BELOW, dict(evidence))


def assess_proposals(
    ranking: Ranking,
    mask: np.ndarray,
    members: Sequence[int],
    opinions: Sequence[np.ndarray],
    config: SegmentConfig,
) -> Confidence:
    """Estimate how good a mask is whose target was chosen among proposals.

    All measures are taken at the size of the proposals, at most 128 pixels a side, so their cost
    does not grow with the image.

    Args:
      ranking: ranking of all proposals.
      mask: (H, W) bool mask of the result, not empty.
      members: for each label map of the ranking, the number of its member.
      opinions: (h, w) bool masks that other methods find in ``ranking.image``.
      config: segmentation settings; the clean-up and boundary fields are read.
    """
    best, image = ranking.best, ranking.image
    picture = PilImage.fromarray(mask.astype(np.uint8) * np.uint8(255))
    size = (image.shape[1], image.shape[0])
    small = np.asarray(picture.resize(size, PilImage.Resampling.BILINEAR)) > 127
    levels = [config.boundary_level + step for step in _STEPS]
    drawn = redraw_at_levels(image, best.mask, best.ignored, config, True, levels)
    maps: dict[int, list[int]] = defaultdict(list)
    for number, member in enumerate(members):
        maps[member].append(number)
    return _conclude(
        {
            "score": best.score,
            "agreement": measure_agreement(ranking, _SCALE),
            "margin": measure_margin(ranking, _DIFFERENT),
            "members": measure_members(ranking, list(maps.values())),
            "stability": measure_stability(drawn),
            "contrast": measure_contrast(image, small),
            "opinions": measure_opinions(small, opinions),
        }
    )


def average_confidence(found: Sequence[Confidence]) -> Confidence:
    """Average the confidence of the results of several seeds.

    The mean of the expected DSC and of every measure that all results have.

    Args:
      found: confidence of each seed; at least one.
    """
    if len(found) == 1:
        return found[0]
    expected = sum(one.expected_dsc for one in found) / len(found)
    names = [name for name in found[0].evidence if all(name in one.evidence for one in found)]
    evidence = {name: sum(one.evidence[name] for one in found) / len(found) for name in names}
    return Confidence(expected, expected < CHECK_BELOW, evidence)
