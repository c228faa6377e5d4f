"""Fit the weights of traits, so that the best candidate of every image has the highest score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

from s3net_jax.masks import TRAITS

__all__ = ["Example", "compute_expected_dsc", "fit_weights"]

_DECAY = 3e-4
"""Weight of the squared weights, in standardised traits. Chosen out of 1e-4, 3e-4, 1e-3 and 3e-3 by
cross-validation on the two halves of the development images, where the mean DSC of the sets was
79.1 to 80.0."""

_NEAREST = 20  # candidates with the highest scores on which the map to the DSC is fitted


class Example(NamedTuple):
    """The candidates of one image.

    Attributes:
      data: name of its data set.
      traits: (N, T) traits of the candidates.
      dsc: (N,) DSC of the candidates with the ground truth, in [0, 1].
    """

    data: str
    traits: np.ndarray
    dsc: np.ndarray


def compute_expected_dsc(
    weights: np.ndarray, examples: Sequence[Example]
) -> tuple[float, np.ndarray]:
    """Compute the mean DSC if candidates are drawn with probability softmax(traits · weights).

    Every data set counts the same, however many images it has.

    Args:
      weights: (T,) weights.
      examples: candidates of every image.

    Returns:
      The mean in [0, 1] and its gradient, (T,).
    """
    counts = Counter(example.data for example in examples)
    total, gradient = 0.0, np.zeros_like(weights)
    for data, traits, dsc in examples:
        share = 1 / (len(counts) * counts[data])
        scores = traits @ weights
        chance = np.exp(scores - scores.max())
        chance /= chance.sum()
        mean = float(chance @ dsc)
        total += share * mean
        gradient += share * ((chance * (dsc - mean)) @ traits)
    return total, gradient


def fit_weights(examples: Sequence[Example]) -> dict[str, float]:
    """Fit the weights of the traits and the constant of the score.

    The direction maximises :func:`compute_expected_dsc` minus half of 3e-4 times the squared
    weights, in traits of mean 0 and variance 1, starting from ridge regression on the DSC. Its
    scale and the constant then make the logistic function of the score predict the DSC, by least
    squares over the 20 highest candidates of every image.

    Args:
      examples: candidates of every image of the half on which constants are chosen.

    Returns:
      Weights by name, ``constant`` first, rounded to three digits after the point.
    """
    traits = np.concatenate([example.traits for example in examples])
    mean, deviation = traits.mean(0), traits.std(0) + 1e-6
    scaled = [e._replace(traits=(e.traits - mean) / deviation) for e in examples]

    def lose(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = compute_expected_dsc(weights, scaled)
        return _DECAY * float(weights @ weights) / 2 - value, _DECAY * weights - gradient

    start = _regress(scaled)
    found = minimize(lose, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    slope, level = _fit_logistic(found, scaled)
    direct = slope * found / deviation
    constant = level - float(direct @ mean)
    names = ("constant", *TRAITS)
    return {n: round(float(w), 3) for n, w in zip(names, (constant, *direct), strict=True)}


def _regress(examples: Sequence[Example]) -> np.ndarray:
    """Return the weights of ridge regression on the DSC, twenty-fold, so that softmax decides."""
    traits = np.concatenate([example.traits for example in examples])
    dsc = np.concatenate([example.dsc for example in examples])
    share = np.concatenate(
        [np.full(len(e.dsc), 1 / (len(e.dsc) * len(examples))) for e in examples]
    )
    gram = (traits * share[:, None]).T @ traits + 1e-2 * np.eye(traits.shape[1])
    return 20 * np.linalg.solve(gram, (traits * share[:, None]).T @ (dsc - dsc.mean()))


def _fit_logistic(weights: np.ndarray, examples: Sequence[Example]) -> tuple[float, float]:
    """Return slope and level so that 1 / (1 + exp(−(slope · score + level))) is near the DSC."""
    scores, wanted = [], []
    for example in examples:
        values = example.traits @ weights
        nearest = np.argsort(-values, kind="stable")[:_NEAREST]
        scores.append(values[nearest])
        wanted.append(example.dsc[nearest])
    score, dsc = np.concatenate(scores), np.concatenate(wanted)

    def lose(values: np.ndarray) -> float:
        return float(((1 / (1 + np.exp(-(values[0] * score + values[1]))) - dsc) ** 2).sum())

    found = minimize(
        lose, np.array([0.5, 0.0]), method="L-BFGS-B", bounds=[(0.05, None), (None, None)]
    )
    return float(found.x[0]), float(found.x[1])
