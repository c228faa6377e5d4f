"""Turn the measures of a mask into an expected DSC and a flag."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import SegmentConfig
from s3net_jax.masks.boundary import redraw_at_levels
from s3net_jax.masks.confidence.calibrations import CALIBRATIONS, CHECK_BELOW, Basis
from s3net_jax.masks.confidence.features import (
    compute_overlaps,
    measure_agreement,
    measure_contrast,
    measure_margin,
    measure_members,
    measure_opinions,
    measure_stability,
)
from s3net_jax.masks.proposals import Ranking

__all__ = [
    "DIFFERENT",
    "Confidence",
    "Opinions",
    "assess_proposals",
    "average_confidence",
    "find_basis",
    "reduce_mask",
]

# The next constants were chosen on 41 development images by the area under the receiver operating
# characteristic of the measure without the others, for DSC below 0.7 and below 0.8. It is flat.
_SCALE = 0.2
"""Decay of the weights of :func:`measure_agreement`. 0.1 and 0.4 change the areas by at most 0.05.
With 0.02 only near copies of the best proposal count, and the areas drop to 0.57 and 0.55."""

DIFFERENT = 0.5
"""DSC below which a proposal is substantially different; 0.3 and 0.7 are within 0.05."""

_STEPS = (-0.2, 0.0)
"""Offsets of the two levels of :func:`measure_stability`. Steps of 0.1 to both sides have areas of
0.75 and 0.78 instead of 0.84: above the level, outlines of good masks move, too."""

Opinions = Callable[[np.ndarray], Sequence[np.ndarray]]
"""Function from a picture (h, w, 3) uint8 to bool masks (h, w) that other methods find in it."""


@dataclass(frozen=True)
class Confidence:
    """Estimate of how good a mask is, made without ground truth.

    Attributes:
      expected_dsc: expected DSC of the mask with a ground truth, in [0, 1].
      check: whether a person should check the mask, because ``expected_dsc`` is too low.
      evidence: measures that the estimate is made of, each in [0, 1]; empty for an empty mask.
      basis: what the estimate is based on.
    """

    expected_dsc: float
    check: bool
    evidence: Mapping[str, float]
    basis: Basis

    @classmethod
    def from_evidence(cls, evidence: Mapping[str, float], basis: Basis) -> Confidence:
        """Make the confidence that follows from measures by the calibration of ``basis``."""
        return cls.from_expected(CALIBRATIONS[basis].expect(evidence), evidence, basis)

    @classmethod
    def from_expected(
        cls, expected: float, evidence: Mapping[str, float], basis: Basis
    ) -> Confidence:
        """Make a confidence, flagged if the expected DSC is below :data:`CHECK_BELOW`."""
        # Scalars of NumPy are no JSON.
        found = {name: float(value) for name, value in evidence.items()}
        return cls(float(expected), bool(expected < CHECK_BELOW), found, basis)

    @classmethod
    def of_empty_mask(cls, basis: Basis) -> Confidence:
        """Return the confidence of an empty mask: no ground truth resembles it."""
        return cls(0.0, True, {}, basis)

    def to_record(self) -> dict[str, Any]:
        """Return the fields of ``results.jsonl``, rounded to four digits."""
        return {
            "expected_dsc": round(self.expected_dsc, 4),
            "check": self.check,
            "basis": self.basis,
            "evidence": {name: round(value, 4) for name, value in self.evidence.items()},
        }

    def __str__(self) -> str:
        advice = ": check this mask" if self.check else ""
        return f"expected DSC {self.expected_dsc:.2f}{advice}"


def find_basis(config: SegmentConfig) -> Basis:
    """Return the basis of an estimate from candidates of several fits."""
    return "traits" if config.choice == "traits" else "proposals"


def assess_proposals(
    ranking: Ranking,
    mask: np.ndarray,
    members: Sequence[int],
    find_opinions: Opinions,
    config: SegmentConfig,
) -> Confidence:
    """Estimate how good a mask is whose target was chosen among proposals.

    All measures are taken at the size of the proposals, at most 128 pixels a side, so their cost
    does not grow with the image.

    Args:
      ranking: ranking of all proposals.
      mask: (H, W) bool mask of the result, not empty.
      members: for each label map of the ranking, the number of its member.
      find_opinions: function that returns what other methods find in the small image.
      config: segmentation settings; the clean-up and boundary fields are read.
    """
    best, image, place = ranking.best, ranking.image, ranking.place
    small = reduce_mask(mask, image.shape[:2])
    levels = [config.boundary_level + step for step in _STEPS]
    drawn = redraw_at_levels(image, best.mask, best.ignored, config, True, levels)
    maps: dict[int, list[int]] = defaultdict(list)
    for number, member in enumerate(members):
        maps[member].append(number)
    scores, overlaps = ranking.scores, compute_overlaps(ranking.masks, ranking.masks[place])
    evidence = {
        "score": best.score,
        "agreement": measure_agreement(scores, overlaps, scores[place], _SCALE),
        "margin": measure_margin(scores, overlaps, scores[place], DIFFERENT),
        "members": measure_members(ranking, list(maps.values())),
        "stability": measure_stability(drawn),
        "contrast": measure_contrast(image, small),
        "opinions": measure_opinions(small, find_opinions(image)),
    }
    return Confidence.from_evidence(evidence, find_basis(config))


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
    return Confidence.from_expected(expected, evidence, found[0].basis)


def reduce_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resize a mask (H, W) bool to another size (h, w)."""
    picture = PilImage.fromarray(mask.astype(np.uint8) * np.uint8(255))
    size = (shape[1], shape[0])
    return np.asarray(picture.resize(size, PilImage.Resampling.BILINEAR)) > 127
