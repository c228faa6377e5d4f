"""Pieces fitted together on the devices of one process, whatever happens to some of them."""

from __future__ import annotations

import math
import os
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, DivergedError
from s3net_jax.io import prepare, prepared_shape
from s3net_jax.jax_setup import DRAWS, out_of_memory, platform, usual_settings
from s3net_jax.masks import compact_labels, labels_at_size
from s3net_jax.parallel import in_threads
from s3net_jax.run.members import as_fitted, join_members, several_members
from s3net_jax.run.memory import most_at_once
from s3net_jax.run.outcome import Failed, Fitted, Outcome, Piece
from s3net_jax.run.single import explain_divergence, started_infinite

__all__ = ["Fitter"]

GENTLER = 0.25
"""What the learning rate is multiplied by, once, after a fit that diverged."""


Progress = Callable[[int, dict[str, Any]], None]


@dataclass
class Fitter:
    """Fits pieces of one prepared shape, as many at once as the memory holds.

    Runs out of memory: the batch is halved, for good. Something else goes wrong: each piece by
    itself, so that only those at fault are lost. A fit diverges: once more, with a quarter of the
    learning rate.

    Attributes:
      config: of all.
      limit: fits at once; None: as many as fit the memory (:func:`most_at_once`).
      devices: that share the fits; None: the default device.
      say: is told what a user should know meanwhile.
    """

    config: Config
    limit: int | None = None
    devices: Sequence[Any] | None = None
    say: Callable[[str], None] = lambda text: None
    _limits: dict[tuple[int, int], int] = field(default_factory=dict)

    def __call__(self, pieces: Sequence[Piece], progress: Progress | None = None) -> list[Outcome]:
        """An outcome for each piece; raises :class:`ConfigError` if none could ever be fitted."""
        platform()
        with usual_settings():
            return self._outcomes(pieces, progress)

    def _outcomes(self, pieces: Sequence[Piece], progress: Progress | None) -> list[Outcome]:
        count = self.config.fit.members
        if not several_members(self.config):
            return self._all(pieces, progress)
        every = [replace(piece, member=n) for piece in pieces for n in range(count)]
        outcomes = self._all(every, progress)

        def joined(n: int) -> Outcome:
            start = time.perf_counter()
            mine = outcomes[n * count : (n + 1) * count]
            one = join_members(mine, pieces[n].image, self.config)
            if isinstance(one, Fitted):
                one = replace(one, seconds=one.seconds + time.perf_counter() - start)
            return one

        return in_threads(joined, range(len(pieces)), _pixels(pieces))

    def _all(self, pieces: Sequence[Piece], progress: Progress | None) -> list[Outcome]:
        shape = prepared_shape(pieces[0].image.shape, self.config.input)
        outcomes: list[Outcome] = []
        while len(outcomes) < len(pieces):
            at_once = self._at_once(shape, len(pieces))
            part = pieces[len(outcomes) : len(outcomes) + at_once]
            outcomes += self._carefully(list(part), shape, progress)
        return outcomes

    def _at_once(self, shape: tuple[int, int], wanted: int) -> int:
        if self.limit is not None:
            self._limits.setdefault(shape, self.limit)
        elif wanted > 1 and shape not in self._limits:
            self._limits[shape] = most_at_once(as_fitted(self.config), shape, wanted, self.devices)
        return self._limits.get(shape, 1)

    def _carefully(
        self, pieces: list[Piece], shape: tuple[int, int], progress: Progress | None
    ) -> list[Outcome]:
        try:
            return self._together(pieces, progress)
        except ConfigError:
            raise
        except Exception as error:
            if os.environ.get("S3NET_DEBUG"):
                traceback.print_exc()
            if len(pieces) == 1:
                return [Failed(_reason(error))]
            if not out_of_memory(error):
                return [o for piece in pieces for o in self._carefully([piece], shape, progress)]
        half = max(1, len(pieces) // 2)
        self._limits[shape] = half
        self.say(
            f"{len(pieces)} fits at once do not fit into memory: going on with {half} at once."
        )
        outcomes: list[Outcome] = []
        while len(outcomes) < len(pieces):
            part = pieces[len(outcomes) : len(outcomes) + self._limits[shape]]
            outcomes += self._carefully(part, shape, progress)
        return outcomes

    def _together(self, pieces: list[Piece], progress: Progress | None) -> list[Outcome]:
        start = time.perf_counter()
        fits = self._fit(pieces, self.config, progress)
        # Of several, label maps are made side by side: a GPU fits an image in less time than one
        # core needs for that.
        maps = in_threads(
            lambda n: _fitted(fits, n, pieces[n]), range(len(pieces)), _pixels(pieces)
        )
        found: list[tuple[Fitted | None, Any]] = [
            (fit, {k: v[n] for k, v in fits.history.items()}) for n, fit in enumerate(maps)
        ]
        each = (time.perf_counter() - start) / len(pieces)
        outcomes: list[Outcome] = []
        for (fit, history), piece in zip(found, pieces, strict=True):
            if fit is None:
                outcomes.append(self._again(piece, history, progress))
            else:
                outcomes.append(_with(fit, each))
        return outcomes

    def _again(self, piece: Piece, history: Any, progress: Progress | None) -> Outcome:
        """A fit that diverged, once more and more gently."""
        if started_infinite(history):  # no learning rate helps
            try:
                explain_divergence(history, self.config)
            except DivergedError as error:
                return Failed(str(error), True)
        start = time.perf_counter()
        rate = self.config.fit.learning_rate * GENTLER
        gentle = self.config.replace(fit={"learning_rate": rate})
        fits = self._fit([piece], gentle, progress)
        fit = _fitted(fits, 0, piece)
        if fit is None:
            try:
                explain_divergence({k: np.asarray(v) for k, v in history.items()}, self.config)
            except DivergedError as error:
                return Failed(f"{str(error).rstrip('.')}; a rate of {rate:g} diverged, too.", True)
        assert fit is not None
        note = (
            f"The optimisation diverged with fit.learning_rate={self.config.fit.learning_rate:g}; "
            f"this is the result with {rate:g}."
        )
        return _with(fit, time.perf_counter() - start, (note,))

    def _fit(self, pieces: list[Piece], config: Config, progress: Progress | None) -> Any:
        import jax

        from s3net_jax import fitting
        from s3net_kernels import UnsupportedError

        different = {id(piece.image): piece.image for piece in pieces}  # many seeds share one
        inputs = in_threads(
            lambda image: prepare(image, config.input), different.values(), _pixels(pieces)
        )
        prepared = dict(zip(different, inputs, strict=True))
        images = jax.numpy.asarray(np.stack([prepared[id(piece.image)] for piece in pieces]))
        keys = jax.numpy.stack([_key(piece) for piece in pieces])
        devices = self.devices if len(pieces) > 1 else None
        try:
            return fitting.fit_batch(
                keys, images, as_fitted(config), devices=devices, progress=progress
            )
        except UnsupportedError as error:
            raise ConfigError(
                f"{error} (model.implementation={config.model.implementation})"
            ) from None


def _pixels(pieces: Sequence[Piece]) -> int:
    """Of the largest image."""
    return max(math.prod(piece.image.shape) for piece in pieces)


def _fitted(fits: Any, n: int, piece: Piece) -> Fitted | None:
    """Fit ``n`` of a batch; None if it diverged."""
    logits = np.asarray(fits.logits[n])
    if not np.isfinite(logits).all():
        return None
    steps = int(fits.steps[n])
    history = {name: np.asarray(values[n])[:steps] for name, values in fits.history.items()}
    maps = None if fits.label_maps is None else np.asarray(fits.label_maps[n])[:steps]
    labels = compact_labels(labels_at_size(logits, piece.image.shape))
    return Fitted(labels, history, steps, maps, 0.0)


def _with(fit: Fitted, seconds: float, notes: tuple[str, ...] = ()) -> Fitted:
    return replace(fit, seconds=seconds, notes=notes)


def _key(piece: Piece) -> Any:
    """The seed's own key for the first member, so that one member is an ordinary fit."""
    import jax

    key = jax.random.key(piece.seed, impl=DRAWS)
    return jax.random.fold_in(key, piece.member) if piece.member else key


def _reason(error: Exception) -> str:
    if out_of_memory(error):
        return "ran out of memory: try a smaller --size or fewer model.channels."
    where = traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).strip().splitlines() or [""])[0]
    return (
        "failed for a reason that this tool does not know "
        f"({type(error).__name__}: {first}, in {Path(where.filename).name} line {where.lineno})."
    )
