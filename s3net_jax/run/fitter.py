"""Fit pieces in batches on the devices of one process, and isolate the pieces that fail."""

from __future__ import annotations

import contextlib
import math
import os
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, InputError
from s3net_jax.io import compute_prepared_shape, prepare
from s3net_jax.jax_setup import DRAWS, get_platform, is_out_of_memory, use_default_settings
from s3net_jax.masks import compact_labels, compute_labels
from s3net_jax.parallel import map_in_threads
from s3net_jax.run.members import (
    has_members,
    join_members,
    record_needed_steps,
    uses_proposals,
)
from s3net_jax.run.memory import BatchSizes
from s3net_jax.run.network import Network
from s3net_jax.run.outcome import (
    Failed,
    Fitted,
    Kept,
    Outcome,
    Piece,
    describe_divergence,
    describe_failure,
    has_infinite_start,
)

if TYPE_CHECKING:
    from jax import Array

    from s3net_jax.fitting import FitResult

__all__ = ["Fitter", "Progress", "make_key", "translate_errors"]

GENTLER = 0.25
"""Factor on the learning rate for the single retry of a fit that diverged.

Not tuned, and no reason is recorded. Every retry costs another fit, so there is only one, at a
clearly lower rate."""

_LOADED = 4
"""Number of networks that are kept on the device: those of a few seeds, not of all volumes."""

Progress = Callable[[int, dict[str, Any]], None]
"""Called as ``progress(step, {"loss": ..., "labels": ..., "running": ..., "fits": ...})``.

``fits`` is the number of fits that began together, ``running`` the number of those that have not
stopped; loss and labels are means over the running fits."""


@dataclass
class Fitter:
    """Fit pieces of one prepared shape, as many at once as fit in memory.

    A batch that runs out of memory is halved, and the smaller size is kept for later batches. After
    any other error, the pieces of the batch are fitted one by one, so that only the pieces at fault
    fail. A fit that diverges is repeated once with a quarter of the learning rate.

    A piece with a trained network is not fitted: the network is applied to it, one piece after
    another, and ``fit.members`` and ``fit.record_labels`` have no effect.

    Attributes:
      config: configuration of all fits.
      limit: number of fits at once; None chooses a size that is useful and fits in memory.
      devices: devices to distribute the fits over; None uses the default device.
      say: function called with each message for the user.
      single_program: whether to fit a single piece with ``fit``, which reports every step. JAX
        cannot cache a program with reports on disk, so the default, False, fits it as a batch of
        one, which reports about every fourth step. Batches run the same programs with and without
        a listener.
      keep: large parts of every fit's result to return.
    """

    config: Config
    limit: int | None = None
    devices: Sequence[Any] | None = None
    say: Callable[[str], None] = lambda text: None
    single_program: bool = False
    keep: Collection[Kept] = ()

    def __post_init__(self) -> None:
        needed = record_needed_steps(self.config)
        self._sizes = BatchSizes(needed, self.limit, self.devices, self.say)
        self._loaded: dict[Network, Any] = {}

    def fit(self, pieces: Sequence[Piece], progress: Progress | None = None) -> list[Outcome]:
        """Fit all pieces and return an outcome for each.

        Args:
          pieces: pieces of one prepared shape.
          progress: listener, or None.

        Raises:
          ConfigError: the configuration can't be used on this machine.
          Exception: the error that ``progress`` raised.
        """
        get_platform()
        listener = None if progress is None else _Listener(progress)
        with use_default_settings():
            if pieces[0].network is not None:
                return [self._apply_network(piece, piece.network) for piece in pieces]
            if not has_members(self.config):
                return self._fit_pieces(pieces, listener)
            numbers = range(self.config.fit.members)
            members = [replace(piece, member=n) for piece in pieces for n in numbers]
            outcomes = self._fit_pieces(members, listener)

        def join(n: int) -> Outcome:
            start = time.perf_counter()
            own = outcomes[n * len(numbers) : (n + 1) * len(numbers)]
            outcome = join_members(own, pieces[n].image, self.config)
            if isinstance(outcome, Fitted):
                seconds = outcome.seconds + time.perf_counter() - start
                outcome = replace(outcome, seconds=seconds)
            return outcome

        return map_in_threads(join, range(len(pieces)), _count_pixels(pieces))

    def _apply_network(self, piece: Piece, network: Network | None) -> Outcome:
        """Apply a trained network to a piece."""
        assert network is not None
        try:
            return self._predict(piece, network)
        except ConfigError:
            raise
        except InputError as error:  # the network's file can't be read
            return Failed(str(error))
        except Exception as error:
            if os.environ.get("S3NET_DEBUG"):
                traceback.print_exc()
            return Failed(describe_failure(error))

    def _predict(self, piece: Piece, network: Network) -> Outcome:
        import jax

        from s3net_jax import fitting

        start = time.perf_counter()
        if network not in self._loaded:
            if len(self._loaded) >= _LOADED:
                del self._loaded[next(iter(self._loaded))]
            # On the device, where every prediction needs them.
            self._loaded[network] = jax.tree.map(jax.numpy.asarray, network.load(self.config))
        pixels = prepare(piece.image, self.config.input)
        try:
            with translate_errors(self.config):
                logits = np.asarray(fitting.predict(self._loaded[network], pixels, self.config))
        except ValueError as error:
            raise ConfigError(f"The trained network can't be applied: {error}") from None
        if not np.isfinite(logits).all():
            return Failed("The trained network gives values that are not finite: train it again.")
        labels = compute_labels(logits, piece.image.shape)
        # At most 1024 clusters; a volume keeps the labels of all slices until they are joined.
        labels = labels.astype(np.int16) if network.is_common else compact_labels(labels)
        history = {"loss": np.zeros(0, np.float32), "labels": np.zeros(0, np.int32)}
        found: Outcome = Fitted(labels, history, 0, None, 0.0)
        if (
            uses_proposals(self.config) and not network.is_common
        ):  # clusters of the only label map are the proposals
            maps = np.argmax(logits, -1).astype(np.int16)[None]
            single = self.config.replace(fit={"members": 1, "record_labels": False})
            found = join_members([replace(found, label_maps=maps)], piece.image, single)
            assert isinstance(found, Fitted)
        if "logits" in self.keep:
            found = replace(found, logits=logits)
        if "params" in self.keep:
            found = replace(found, params=jax.tree.map(np.asarray, self._loaded[network]))
        seconds = time.perf_counter() - start + network.share
        notes = (*found.notes, network.note) if network.note else found.notes
        return replace(found, seconds=seconds, notes=notes)

    def _fit_pieces(self, pieces: Sequence[Piece], listener: _Listener | None) -> list[Outcome]:
        """Fit pieces in batches that fit in memory."""
        shape = compute_prepared_shape(pieces[0].image.shape, self.config.input)
        outcomes = self._sizes.fit_in_parts(
            pieces, shape, lambda part: self._isolate_failures(part, listener)
        )
        return list(outcomes)

    def _isolate_failures(self, pieces: list[Piece], listener: _Listener | None) -> list[Outcome]:
        """Fit a batch; if it fails for another reason than memory, fit its pieces one by one."""
        try:
            return self._fit_batch(pieces, listener)
        except ConfigError:
            raise
        except Exception as error:
            if listener is not None and listener.error is error:
                raise
            if os.environ.get("S3NET_DEBUG"):
                traceback.print_exc()
            if len(pieces) == 1:
                return [Failed(describe_failure(error))]
            if is_out_of_memory(error):
                raise
        return [o for piece in pieces for o in self._isolate_failures([piece], listener)]

    def _fit_batch(self, pieces: list[Piece], listener: _Listener | None) -> list[Outcome]:
        """Fit a batch, and repeat the fits that diverge."""
        start = time.perf_counter()
        fits = self._run_fits(pieces, self.config, listener)
        # Make label maps in several threads: one core needs longer for a map at full size than a
        # GPU for the fit.
        found = map_in_threads(
            lambda n: _read_fit(fits[n], pieces[n], self.keep),
            range(len(pieces)),
            _count_pixels(pieces),
        )
        seconds = (time.perf_counter() - start) / len(pieces)
        return [
            self._retry_gently(piece, _read_history(fit), listener)
            if fitted is None
            else replace(fitted, seconds=seconds)
            for fitted, fit, piece in zip(found, fits, pieces, strict=True)
        ]

    def _retry_gently(
        self, piece: Piece, history: dict[str, np.ndarray], listener: _Listener | None
    ) -> Outcome:
        """Repeat a fit that diverged, with a lower learning rate.

        Args:
          piece: image, seed and member of the fit.
          history: history of the fit that diverged.
          listener: listener of the new fit, or None.
        """
        reason = describe_divergence(history, self.config)
        if has_infinite_start(history):  # the loss precedes any update: no learning rate helps
            return Failed(reason, True)
        start = time.perf_counter()
        before = self.config.fit.learning_rate
        rate = before * GENTLER
        gentle = self.config.replace(fit={"learning_rate": rate})
        (fit,) = self._run_fits([piece], gentle, listener)
        fitted = _read_fit(fit, piece, self.keep)
        if fitted is None:
            return Failed(f"{reason.rstrip('.')}; a rate of {rate:g} diverged, too.", True)
        note = (
            f"The optimisation diverged with fit.learning_rate={before:g}; this is the result with "
            f"{rate:g}."
        )
        return replace(fitted, seconds=time.perf_counter() - start, notes=(note,))

    def _run_fits(
        self, pieces: list[Piece], config: Config, listener: _Listener | None
    ) -> list[FitResult]:
        """Prepare the images and fit all pieces at once."""
        import jax

        from s3net_jax import fitting

        config = record_needed_steps(config)
        # Seeds and members share image objects: prepare each only once.
        different = {id(piece.image): piece.image for piece in pieces}
        prepared = map_in_threads(
            lambda image: prepare(image, config.input), different.values(), _count_pixels(pieces)
        )
        pixels = dict(zip(different, prepared, strict=True))
        with translate_errors(config):
            if len(pieces) == 1 and self.single_program:
                image = jax.numpy.asarray(pixels[id(pieces[0].image)])
                key = make_key(pieces[0].seed, pieces[0].member)
                report = None if listener is None else listener.report_batch(1)
                fit = fitting.fit(key, image, config, progress=report)
                return [jax.block_until_ready(fit)]
            images = jax.numpy.asarray(np.stack([pixels[id(piece.image)] for piece in pieces]))
            keys = jax.numpy.stack([make_key(piece.seed, piece.member) for piece in pieces])
            devices = self.devices if len(pieces) > 1 else None
            # `fit_batch` runs all steps at once if it has nothing to report, by another program:
            # it always reports, so that a display neither compiles anything nor changes a result.
            report = _ignore if listener is None else listener.report_batch(len(pieces))
            fits = fitting.fit_batch(keys, images, config, devices=devices, progress=report)
        return [jax.tree.map(lambda leaf, n=n: leaf[n], fits) for n in range(len(pieces))]


class _Listener:
    """Forward reports, and remember the listener's error to tell it from an error of the fit."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.error: BaseException | None = None

    def report_batch(self, count: int) -> Progress:
        """Make the listener of a batch of ``count`` fits."""

        def report(step: int, record: dict[str, Any]) -> None:
            try:
                self._progress(step, {"running": 1, **record, "fits": count})
            except BaseException as error:
                self.error = error
                raise

        return report


def _ignore(step: int, record: dict[str, Any]) -> None:
    """Ignore a report."""


def make_key(seed: int, member: int = 0) -> Array:
    """Make the PRNG key with which :func:`s3net_jax.segment` fits an image.

    Args:
      seed: random seed, 0 to 2³² − 1. The key does not depend on JAX's default generator.
      member: number of the fit among the ``fit.members`` fits of the seed. Member 0 gets the key of
        the seed itself, so it equals a fit without members.

    Returns:
      The key, a typed () PRNG key.
    """
    import jax

    key = jax.random.key(seed, impl=DRAWS)
    return jax.random.fold_in(key, member) if member else key


@contextlib.contextmanager
def translate_errors(config: Config) -> Iterator[None]:
    """Raise :class:`ConfigError` if this machine does not support the configured implementation."""
    from s3net_kernels import UnsupportedError

    try:
        yield
    except UnsupportedError as error:
        raise ConfigError(f"{error} (model.implementation={config.model.implementation})") from None


def _count_pixels(pieces: Sequence[Piece]) -> int:
    """Return the number of pixels of the largest image."""
    return max(math.prod(piece.image.shape) for piece in pieces)


def _read_fit(fit: FitResult, piece: Piece, keep: Collection[Kept]) -> Fitted | None:
    """Compute the label map of a fit at the image's original size; None if the fit diverged.

    Args:
      fit: result of the fit.
      piece: image, seed and member of the fit.
      keep: large parts of the result to return.
    """
    import jax

    logits = np.asarray(fit.logits)
    if not np.isfinite(logits).all():
        return None
    steps = int(fit.steps)
    maps = None if fit.label_maps is None else _own(fit.label_maps)[:steps]
    labels = compact_labels(compute_labels(logits, piece.image.shape))
    # Copies, since an entry of a batch is a view that would keep the whole batch in memory.
    return Fitted(
        labels,
        _read_history(fit),
        steps,
        maps,
        0.0,
        member=piece.member,
        logits=np.array(logits) if "logits" in keep else None,
        params=jax.tree.map(np.array, fit.params) if "params" in keep else None,
    )


def _read_history(fit: FitResult) -> dict[str, np.ndarray]:
    """Return the history of the steps before an early stop."""
    return {name: _own(values)[: int(fit.steps)] for name, values in fit.history.items()}


def _own(values: Any) -> np.ndarray:
    """Return a writable array: copy ``values`` if they are a read-only view of device memory."""
    return np.require(values, requirements="W")
