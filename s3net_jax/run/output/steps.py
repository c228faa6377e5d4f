"""Select the steps of a fit to show in a film, and keep cluster colours consistent over them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from s3net_jax.io import Film, Strip
from s3net_jax.masks import Segments, align_labels
from s3net_jax.run.cases import Case
from s3net_jax.run.outcome import Fitted

__all__ = ["choose_fits", "choose_steps", "make_film", "reduce_maps"]

_STRIPS = 6  # maximum number of seeds in a film
_FRAMES = 10  # maximum number of steps in a strip, without the result
_SIDE = 192  # maximum side of a frame in pixels


def choose_steps(steps: int) -> list[int]:
    """Choose up to ten of the steps 1..``steps``, including both ends."""
    if steps <= _FRAMES:
        return list(range(1, steps + 1))
    # The power places most frames at the start, where clusters merge fastest.
    share = np.linspace(0, 1, _FRAMES) ** 2.5
    return sorted({round(step) for step in 1 + (steps - 1) * share})


def choose_fits(pieces: Sequence[int], seeds: Sequence[int]) -> set[tuple[int, int]]:
    """Choose the (piece, seed) pairs for a film: the first six seeds of the middle piece."""
    if not pieces:
        return set()
    return {(pieces[len(pieces) // 2], seed) for seed in seeds[:_STRIPS]}


def reduce_maps(fit: Fitted, keep: bool) -> Fitted:
    """Reduce the label maps of a fit to the chosen steps and the size of a frame.

    The maps of every step of every slice would not fit in memory.

    Args:
      fit: fit with or without label maps.
      keep: whether the film shows this fit; if False, all label maps are dropped.
    """
    if fit.label_maps is None:
        return fit
    if not keep:
        return dataclasses.replace(fit, label_maps=None)
    maps = fit.label_maps[np.array(choose_steps(fit.steps)) - 1]
    small = np.stack([_shrink(labels, fit.labels.shape) for labels in maps])
    return dataclasses.replace(fit, label_maps=small)


def make_film(fits: Mapping[tuple[int, int], Fitted], case: Case, whole: Segments) -> Film | None:
    """Make a film with a strip for each fit; return None if no label maps were recorded.

    Labels are aligned backwards (:func:`align_labels`): the fit's result to ``whole``, the last
    step to the result, and each earlier step to the next one. The last frame thus has the colours
    of the overlay, and a cluster keeps its colour through the steps.

    Args:
      fits: fit of each (piece, seed), as :func:`reduce_maps` returns it.
      case: opened input.
      whole: result of the whole input.
    """
    strips = []
    for (piece, seed), fit in fits.items():
        if fit.label_maps is None:
            continue
        shape = fit.labels.shape
        result = _shrink(case.part(whole, piece), shape)
        frames = [align_labels(_shrink(fit.labels, shape), result)]
        for earlier in fit.label_maps[::-1]:
            frames.append(align_labels(earlier, frames[-1]))
        kind = "tile" if case.volume is None else "slice"
        where = f"{kind} {piece + 1} of {len(case)}, " if len(case) > 1 else ""
        steps = choose_steps(fit.steps)
        titles = [*(f"step {step}" for step in steps), "result"]
        # Count labels at full size: a frame is smaller and may lack the smallest clusters.
        counts = [
            *(int(fit.history["labels"][step - 1]) for step in steps),
            len(np.unique(fit.labels)),
        ]
        strips.append(
            Strip(f"{where}seed {seed}", tuple(titles), tuple(counts), np.stack(frames[::-1]))
        )
    return Film(tuple(strips)) if strips else None


def _shrink(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resample ``labels`` by nearest neighbour to the aspect ratio of ``shape``, (H, W).

    The long side has at most 192 pixels.
    """
    scale = min(1.0, _SIDE / max(shape))
    rows, columns = (
        ((np.arange(count) + 0.5) * n / count).astype(int)
        for n, count in zip(labels.shape, [max(1, round(s * scale)) for s in shape], strict=True)
    )
    return labels[rows][:, columns]
