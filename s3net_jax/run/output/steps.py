"""The clusters of a fit through its steps: which are kept, and how their colours continue."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from s3net_jax.io import Film, Strip
from s3net_jax.masks import Segments, align_labels
from s3net_jax.run.cases import Case
from s3net_jax.run.outcome import Fitted

__all__ = ["choose_fits", "choose_steps", "make_film", "reduce_maps"]

_STRIPS = 6  # seeds that a film shows at most
_FRAMES = 10  # steps beside the result
_SIDE = 192  # pixels of a frame's long side


def choose_steps(steps: int) -> list[int]:
    """Choose up to ten of the steps 1..``steps``, with both ends, closer together at the start,
    where clusters merge by halves."""
    if steps <= _FRAMES:
        return list(range(1, steps + 1))
    share = np.linspace(0, 1, _FRAMES) ** 2.5
    return sorted({round(step) for step in 1 + (steps - 1) * share})


def choose_fits(pieces: Sequence[int], seeds: Sequence[int]) -> set[tuple[int, int]]:
    """Choose the (piece, seed) that a film shows: the first six seeds of the middle piece."""
    if not pieces:
        return set()
    return {(pieces[len(pieces) // 2], seed) for seed in seeds[:_STRIPS]}


def reduce_maps(fit: Fitted, keep: bool) -> Fitted:
    """Keep only the label maps of the chosen steps, at a frame's size; none unless ``keep``. The
    maps of every step of every slice would fill the memory."""
    if fit.label_maps is None:
        return fit
    if not keep:
        return dataclasses.replace(fit, label_maps=None)
    maps = fit.label_maps[np.array(choose_steps(fit.steps)) - 1]
    small = np.stack([_shrink(labels, fit.labels.shape) for labels in maps])
    return dataclasses.replace(fit, label_maps=small)


def make_film(fits: Mapping[tuple[int, int], Fitted], case: Case, whole: Segments) -> Film | None:
    """Make a film with a strip for each fit; None if no label maps were recorded.

    Numbers continue from frame to frame: each step's label map is aligned with the next one's
    (:func:`align_labels`), the last one with the fit's own result, and that with ``whole``. So
    colours are those of the overlay at the end, and lead back to what the clusters came from.

    Args:
      fits: (piece, seed) → fit, as :func:`reduce_maps` left it.
      case: the input.
      whole: its result.
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
        # A frame is smaller than the label map, and may miss its smallest clusters.
        counts = [
            *(int(fit.history["labels"][step - 1]) for step in steps),
            len(np.unique(fit.labels)),
        ]
        strips.append(
            Strip(f"{where}seed {seed}", tuple(titles), tuple(counts), np.stack(frames[::-1]))
        )
    return Film(tuple(strips)) if strips else None


def _shrink(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resample ``labels`` to the proportions of ``shape`` (H, W) and a long side of at most 192,
    by nearest neighbours."""
    scale = min(1.0, _SIDE / max(shape))
    rows, columns = (
        ((np.arange(count) + 0.5) * n / count).astype(int)
        for n, count in zip(labels.shape, [max(1, round(s * scale)) for s in shape], strict=True)
    )
    return labels[rows][:, columns]
