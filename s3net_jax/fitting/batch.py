"""Many fits at once, each with its own weights, statistics and early stop.

All are vmapped into one program, in which an early stop saves nothing: the others go on. So the
program does a chunk of steps at a time, and between chunks the fits that have stopped are taken
out, and those that go on are moved together into a smaller batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh
from jax.typing import ArrayLike

from s3net_jax.checks import check_whole
from s3net_jax.config import Config, check_config
from s3net_jax.fitting.checks import (
    check_devices,
    check_image,
    check_listener,
    is_traced,
    read_hyper,
    read_keys,
    read_pixels,
)
from s3net_jax.fitting.fit import FitResult
from s3net_jax.fitting.hyper import Hyper, hyperparameters, static_config
from s3net_jax.fitting.objective import ExtraLoss, read_extra
from s3net_jax.fitting.sharding import (
    advance_fits,
    begin_fits,
    compute_batch_logits,
    gather_fits,
    make_mesh,
)
from s3net_jax.fitting.step import FitState, Records
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.nn.layers import get_param_dtype

__all__ = ["CHUNK", "fit_batch", "list_batch_sizes"]

CHUNK = 4
"""Steps between two checks of which fits have stopped, and between two reports."""

BatchProgress = Callable[[int, dict[str, Any]], None]


@use_default_settings()
def fit_batch(
    keys: Array,
    images: ArrayLike,
    config: Config,
    *,
    hyper: Hyper | None = None,
    extra_loss: ExtraLoss | None = None,
    chunk: int = CHUNK,
    devices: Sequence[Any] | None = None,
    progress: BatchProgress | None = None,
) -> FitResult:
    """Fit to many images, seeds or settings at once; each as :func:`fit` does.

    Args:
      keys: (B,) PRNG keys.
      images: (B, H, W, 3) floating point in [0, 1], or (H, W, 3), which all fits share.
      config: static configuration, the same for all fits.
      hyper: dynamic numbers in place of the configuration's: floats, or (B,) arrays with one for
        each fit. See :func:`grid`.
      extra_loss: a term to add to the joint loss of each, see :func:`fit`; arrays that
        ``jax.tree_util.Partial`` binds have a leading axis of B, one for each fit.
      chunk: steps between two checks of which fits have stopped, and about the number of steps
        between two calls of ``progress``.
      devices: of this process, over which the fits are distributed evenly, each device with
        its own fits (``shard_map``); None computes on the default device.
      progress: called on the host as ``progress(step, {"loss": ..., "labels": ..., "running":
        ...})`` about every ``chunk`` steps, with means over the fits that have not stopped.

    Returns:
      A :class:`FitResult` whose arrays have a leading axis of B, and lie on the host. They equal
      those of single fits to rounding.

    Raises:
      ValueError: shapes that do not fit together, no fits at all, no devices, or a chunk below 1.
      TypeError: as :func:`fit`, or a call inside ``jit``, ``vmap`` or ``grad``.
    """
    check_config(config)
    _check_untraced(keys, images, hyper, extra_loss)
    wide = get_param_dtype(config.model.dtype)
    images = read_pixels(images, wide)
    keys = read_keys(keys if hasattr(keys, "dtype") else jnp.asarray(keys))
    count = keys.shape[0] if keys.ndim == 1 else 0
    if count == 0:
        raise ValueError("fit_batch needs at least one key: keys has no leading axis of fits.")
    if (chunk := check_whole("chunk", chunk)) < 1:
        raise ValueError(f"chunk is {chunk}: there must be at least one step between two checks.")
    check_listener(progress)
    check_image(images.shape[1:] if images.ndim == 4 else images.shape)
    if images.ndim == 4 and images.shape[0] != count:
        raise ValueError(
            f"There are {count} keys and {images.shape[0]} images: give one key for each image."
        )
    every = read_hyper(hyperparameters(config) if hyper is None else hyper, wide, count)
    extra = read_extra(extra_loss, wide)
    for leaf in jax.tree.leaves(extra):
        if jnp.shape(leaf)[:1] != (count,):
            raise ValueError(
                f"extra_loss binds an array of the shape {jnp.shape(leaf)}: its first axis must be "
                f"of the {count} fits."
            )
    static = static_config(config)
    pieces = [static.fit.steps]
    if static.fit.stop_labels > 0:
        pieces = _plan_chunks(static.fit.steps, chunk, static.fit.stop_after)
    elif progress is not None:
        pieces = _split_evenly(static.fit.steps, chunk)
    mesh = make_mesh(check_devices(devices))
    several = 1 if mesh is None else mesh.size
    numbers = np.concatenate([np.arange(count), np.full(-count % several, -1)])
    if numbers.size > count:  # every device has as many
        places = jnp.asarray(np.where(numbers < 0, 0, numbers))
        keys = keys[places]
        every, extra = jax.tree.map(lambda a: jnp.asarray(a)[places], (every, extra))
        images = images[places] if images.ndim == 4 else images
    state = begin_fits(keys, images, every, extra, static, mesh)
    return _collect(_run_chunks(state, static, pieces, numbers, mesh, progress), count, static)


def list_batch_sizes(count: int, multiple: int = 1) -> list[int]:
    """List the sizes that a batch of ``count`` may shrink to, each compiled once.

    Each is a third less, but a multiple of ``multiple``; up to four times that, one ``multiple``
    less.
    """
    sizes = [-(-count // multiple)]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] - 1 if sizes[-1] <= 4 else sizes[-1] * 2 // 3)
    return [size * multiple for size in sizes]


def _split_evenly(steps: int, chunk: int) -> list[int]:
    """Split ``steps`` into equal pieces of about ``chunk``, so that one program does them all.

    Where that can't be, a rest remains.
    """
    near = sorted(range(1, steps + 1), key=lambda n: (abs(n - chunk), n))
    size = next((n for n in near if steps % n == 0 and chunk <= 2 * n and n <= 2 * chunk), chunk)
    whole, rest = divmod(steps, size)
    return [size] * whole + [rest] * (rest > 0)


def _plan_chunks(steps: int, chunk: int, stop_after: int) -> list[int]:
    """Plan numbers of steps: nothing stops before ``stop_after``, then every ``chunk``."""
    first = min(max(stop_after, 1), steps)
    whole, rest = divmod(steps - first, chunk)
    return [first, *[chunk] * whole, *([rest] if rest else [])]


def _check_untraced(*arguments: Any) -> None:
    """Raise TypeError inside a transformation of JAX.

    Whether the caller is traced shows in an argument, or in what an operation on none returns.
    """
    if is_traced(arguments) or is_traced(jnp.zeros(())):
        raise TypeError(
            "fit_batch can't be traced by jax.jit, vmap or grad: between steps it looks on the "
            "host which fits have stopped. Call it outside of them, or trace s3net_jax.fit, as in "
            "jax.jit(jax.vmap(lambda key, image: s3net_jax.fit(key, image, config)))."
        )


Piece = tuple[np.ndarray, Records]
Ended = tuple[np.ndarray, FitState, Any]


def _run_chunks(
    state: FitState,
    config: Config,
    pieces: list[int],
    numbers: np.ndarray,
    mesh: Mesh | None,
    progress: BatchProgress | None,
) -> Iterator[tuple[Piece | None, Ended | None]]:
    """Do all steps. Yield what each piece recorded, with the fits' numbers in the batch, and
    the fits that ended: their numbers, and their places in a state with its logits."""
    sizes = list_batch_sizes(numbers.size, 1 if mesh is None else mesh.size)
    for n, count in enumerate(pieces):
        state, records = advance_fits(state, config, count, mesh)
        done = np.asarray(state.done)
        kept = numbers >= 0  # the others are copies that fill the batch up
        host = jax.device_get(records)
        yield (numbers, host), None
        if progress is not None:
            _report_means(progress, sum(pieces[: n + 1]), host, kept, int(np.sum(kept & ~done)))
        last = n + 1 == len(pieces)
        ended = kept & (done | last)
        if not last and kept.sum() > ended.sum():
            left = int(kept.sum() - ended.sum())
            size = min(s for s in sizes if s >= left)
            if size == numbers.size:
                continue
        if ended.any():
            places = np.flatnonzero(ended)
            yield None, (numbers[places], *_extract_results(state, config, places, mesh))
        going = np.flatnonzero(kept & ~ended)
        if last or going.size == 0:
            return
        size = min(s for s in sizes if s >= going.size)
        filled = np.concatenate([going, np.repeat(going[:1], size - going.size)])
        state = gather_fits(state, jnp.asarray(filled), mesh)
        numbers = np.concatenate([numbers[going], np.full(size - going.size, -1)])


def _report_means(
    progress: BatchProgress, step: int, records: Records, kept: np.ndarray, running: int
) -> None:
    """Report means over the fits, of the last of these steps that each did."""
    ran = records.ran & kept[:, None]
    last = ran.any(1)
    if not last.any():
        return
    at = ran.shape[1] - 1 - np.argmax(ran[last][:, ::-1], 1)
    loss = records.history["loss"][last, at]
    labels = records.history["labels"][last, at]
    progress(
        step,
        {"loss": float(loss.mean()), "labels": round(float(labels.mean())), "running": running},
    )


def _extract_results(
    state: FitState, config: Config, places: np.ndarray, mesh: Mesh | None
) -> tuple[Any, np.ndarray]:
    # All of the batch at once: another number of fits would be another program.
    logits = np.asarray(compute_batch_logits(state, config, mesh))[places]
    params = jax.tree.map(lambda a: np.asarray(a)[places], state.params)
    return params, logits


def _collect(parts: Iterator[Any], count: int, config: Config) -> FitResult:
    """Put pieces and ended fits together in the order of the batch."""
    steps = config.fit.steps
    history: dict[str, np.ndarray] = {}
    ran = np.zeros((count, steps), bool)
    maps: np.ndarray | None = None
    params: Any = None
    logits: np.ndarray | None = None
    at = 0
    for piece, ended in parts:
        if piece is not None:
            numbers, records = piece
            real = numbers >= 0
            length = records.ran.shape[1]
            for name, values in records.history.items():
                if name not in history:
                    blank = 0 if np.issubdtype(values.dtype, np.integer) else np.nan
                    history[name] = np.full((count, steps), blank, values.dtype)
                history[name][numbers[real], at : at + length] = values[real]
            ran[numbers[real], at : at + length] = records.ran[real]
            if records.label_maps is not None:
                if maps is None:
                    shape = (count, steps, *records.label_maps.shape[2:])
                    maps = np.zeros(shape, records.label_maps.dtype)
                maps[numbers[real], at : at + length] = records.label_maps[real]
                # After a stop: the map of the last step done, as of a single fit.
                maps[numbers[real], at + length :] = records.label_maps[real, -1:]
            at += length
        if ended is not None:
            numbers, some_params, some_logits = ended
            if logits is None:
                logits = np.empty((count, *some_logits.shape[1:]), some_logits.dtype)
                params = jax.tree.map(
                    lambda a: np.empty((count, *a.shape[1:]), a.dtype), some_params
                )
            logits[numbers] = some_logits
            for whole, part in zip(
                jax.tree.leaves(params), jax.tree.leaves(some_params), strict=True
            ):
                whole[numbers] = part
    assert logits is not None
    return FitResult(
        labels=logits.argmax(-1).astype(np.int32),  # pyright: ignore[reportArgumentType]
        logits=logits,  # pyright: ignore[reportArgumentType]
        history=history,  # pyright: ignore[reportArgumentType]
        steps=ran.sum(1, dtype=np.int32),  # pyright: ignore[reportArgumentType]
        label_maps=maps,  # pyright: ignore[reportArgumentType]
        params=params,
    )
