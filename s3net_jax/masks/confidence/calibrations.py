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
"""Expected DSC below which a mask is flagged: what a mask should reach. On the half of the choice
it flags 38 of 106 masks of ``best``, and 30 of the 32 with a DSC below 0.8."""


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
        -6.934,
        {
            "score": 2.224,
            "agreement": 1.046,
            "margin": 0.77,
            "members": 1.587,
            "stability": 0.858,
            "contrast": 1.99,
            "opinions": 3.284,
        },
    ),
    "traits": Calibration(
        -3.743,
        {
            "score": 1.725,
            "agreement": 0.984,
            "margin": 0.098,
            "members": 0.53,
            "stability": 0.833,
            "contrast": 1.338,
            "opinions": 1.228,
        },
    ),
    "clusters": Calibration(-3.925, {"score": 2.898, "margin": 1.407, "opinions": 3.169}),
    "choice": Calibration(-1.204, {"score": 2.437, "margin": 1.405}),
}
"""Calibration of each :data:`Basis` but ``slices``, which averages those of the slices.

``python -m benchmarks.confidence`` fits the numbers on half of the development images, and a test
compares them with the result file, ``docs/quality/confidence.json``."""
