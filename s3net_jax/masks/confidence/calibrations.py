"""Hold the constants that turn measures into an expected DSC, for each kind of result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["CALIBRATIONS", "CHECK_BELOW", "Basis", "Calibration"]

Basis = Literal["proposals", "traits", "clusters", "choice", "slices"]
"""What an estimate is based on:

- ``proposals``: the label maps of every step of several fits, among which the target was chosen;
- ``traits``: the same and dark parts, chosen by their traits (``segment.choice=traits``);
- ``clusters``: a single label map, in which the target was chosen automatically;
- ``choice``: a single label map, in which a person chose the target;
- ``slices``: estimates of the slices of a volume.
"""

CHECK_BELOW = 0.8
"""Expected DSC below which a mask is flagged: what a mask should reach."""


@dataclass(frozen=True)
class Calibration:
    """A logistic map from measures to the expected DSC.

    Attributes:
      constant: w₀.
      weights: wₖ of each measure xₖ, at least 0: every measure is larger for better masks.
    """

    constant: float
    weights: Mapping[str, float]

    def expect(self, evidence: Mapping[str, float]) -> float:
        """Compute the expected DSC 1 / (1 + exp(−(w₀ + Σ wₖ xₖ))), in [0, 1].

        Args:
          evidence: value xₖ of each measure of the calibration; others are ignored.
        """
        total = self.constant + sum(w * evidence[name] for name, w in self.weights.items())
        return 1 / (1 + math.exp(-total))


CALIBRATIONS: Mapping[str, Calibration] = {
    "proposals": Calibration(
        -4.903,
        {
            "score": 1.379,
            "agreement": 1.215,
            "margin": 0.416,
            "members": 1.086,
            "stability": 0.666,
            "contrast": 1.713,
            "opinions": 2.118,
        },
    ),
    "traits": Calibration(
        -4.903,
        {
            "score": 1.379,
            "agreement": 1.215,
            "margin": 0.416,
            "members": 1.086,
            "stability": 0.666,
            "contrast": 1.713,
            "opinions": 2.118,
        },
    ),
    "clusters": Calibration(-3.1, {"score": 3.6, "margin": 1.3, "opinions": 1.7}),
    "choice": Calibration(-2.4, {"score": 4.0, "margin": 1.9}),
}
"""Calibration of each :data:`Basis` but ``slices``, which averages those of the slices.

``python -m benchmarks.confidence`` fits the numbers on half of the development images, and a test
compares them with the result file, ``docs/quality/confidence.json``."""
