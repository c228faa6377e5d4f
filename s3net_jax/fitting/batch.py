"""Run many fits at once, each with its own weights, statistics and early stop.

All fits are vmapped into one program. Under ``vmap`` an early stop saves no work, because the
program computes every fit of the batch. The program therefore runs a chunk of steps at a time;
between chunks the host removes the fits that have stopped and gathers the others into a smaller
batch.
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
from s3net_jax.config import Config
from s3net_jax.fitting.arguments import FitArrays
from s3net_jax.fitting.checks import (
    check_devices,
    check_image,
    check_listener,
    check_trained_on_image,
    is_traced,
    read_hyper,
    read_keys,
    read_pixels,
)
from s3net_jax.fitting.custom import (
    ExtraLoss,
    Hooks,
    Optimizer,
    Record,
    check_bound,
    make_hooks,
    read_extra,
)
from s3net_jax.fitting.data import read_data
from s3net_jax.fitting.fit import FitResult
from s3net_jax.fitting.hyper import hyperparameters, static_config
from s3net_jax.fitting.initial import read_params
from s3net_jax.fitting.sharding import (
    advance_fits,
    begin_fits,
    compute_batch_logits,
    gather_fits,
    make_mesh,
)
from s3net_jax.fitting.step import FitState, Records
from s3net_jax.fitting.transforms import Transforms, read_transforms
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.methods import Hyper
from s3net_jax.nn.layers import get_param_dtype

__all__ = ["CHUNK", "fit_batch", "list_batch_sizes"]

CHUNK = 4
"""Default number of steps between two checks for stopped fits, and between two reports.

A larger chunk computes more steps of fits that have stopped; a smaller one waits for the device
more often, since every check copies the state's ``done`` flags to the host.
"""

BatchProgress = Callable[[int, dict[str, Any]], None]


@use_default_settings()
def fit_batch(
    keys: Array,
    images: ArrayLike,
    config: Config,
    *,
    hyper: Hyper | None = None,
    params: Any = None,
    transforms: Transforms | None = None,
    extra_loss: ExtraLoss | None = None,
    optimizer: Optimizer | None = None,
    record: Record | None = None,
    data: Any = None,
    chunk: int = CHUNK,
    devices: Sequence[Any] | None = None,
    progress: BatchProgress | None = None,
) -> FitResult:
    """Fit many images, seeds or settings at once, each as :func:`fit` does.

    Args:
      keys: (B,) PRNG keys, one for each fit.
      images: (B, H, W, C) floating point in [0, 1], or a single (H, W, C) image for all fits.
      config: static configuration, the same for all fits.
      hyper: dynamic numbers that replace the configuration's: floats, or (B,) arrays with one
        number for each fit. See :func:`grid`.
      extra_loss: custom term to add to each joint loss, see :func:`fit`; arrays bound by
        ``jax.tree_util.Partial`` have a leading axis of B, one entry for each fit.
      chunk: number of steps between two checks for stopped fits, and roughly between two calls
        of ``progress``; at least 1.
      devices: devices of this process; the fits are distributed evenly over them with
        ``shard_map``. None uses the default device.
      progress: function called on the host as ``progress(step, {"loss": ..., "labels": ...,
        "running": ...})`` about every ``chunk`` steps; loss and labels are means over the fits
        that have not stopped.

    Returns:
      A :class:`FitResult` of host arrays with a leading axis of B. They equal the results of
      single fits up to rounding.

    Raises:
      ValueError: shapes do not match, there are no fits or devices, or ``chunk`` is below 1.
      TypeError: an argument has the wrong type (see :func:`fit`), or the call is inside ``jit``,
        ``vmap`` or ``grad``.
    """
    check_trained_on_image(config)
    _check_untraced(keys, images, hyper, params, transforms, extra_loss, data)
    wide = get_param_dtype(config.model.dtype)
    images = read_pixels(images, wide)
    keys = read_keys(keys if hasattr(keys, "dtype") else jnp.asarray(keys))
    count = keys.shape[0] if keys.ndim == 1 else 0
    if count == 0:
        raise ValueError(
            "fit_batch needs a (B,) array with at least one key, got keys of shape "
            f"{tuple(keys.shape)}."
        )
    if (chunk := check_whole("chunk", chunk)) < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}.")
    check_listener(progress)
    check_image(images.shape[1:] if images.ndim == 4 else images.shape, config)
    shape = images.shape[-3], images.shape[-2], images.shape[-1]
    if images.ndim == 4 and images.shape[0] != count:
        raise ValueError(
            f"fit_batch got {count} keys and {images.shape[0]} images: give one key for each image."
        )
    every = read_hyper(hyperparameters(config) if hyper is None else hyper, wide, count)
    extra = check_bound("extra_loss", read_extra(extra_loss, wide), count)
    static, hooks = static_config(config), make_hooks(optimizer, record)
    shared = images.ndim == 3
    arrays = FitArrays(
        key=keys,
        hyper=every,
        params=read_params(params, config, shape, count),
        transforms=read_transforms(transforms, config, wide, shape[:2], count),
        extra=extra,
        data=_repeat(
            read_data(data, images, config, count), count if shared and data is None else None
        ),
    )
    pieces = [static.fit.steps]
    if static.fit.stop_labels > 0:
        pieces = _plan_chunks(static.fit.steps, chunk, static.fit.stop_after)
    elif progress is not None:
        pieces = _split_evenly(static.fit.steps, chunk)
    mesh = make_mesh(check_devices(devices))
    several = 1 if mesh is None else mesh.size
    numbers = np.concatenate([np.arange(count), np.full(-count % several, -1)])
    if numbers.size > count:  # shard_map needs equal shares: pad with copies, numbered -1
        places = jnp.asarray(np.where(numbers < 0, 0, numbers))
        arrays = jax.tree.map(lambda a: jnp.asarray(a)[places], arrays)
        images = images if shared else images[places]
    state = begin_fits(arrays, images, static, mesh, hooks)
    parts = _run_chunks(state, static, pieces, numbers, mesh, progress, hooks)
    return _collect(parts, count, static)


def _repeat(data: Any, count: int | None) -> Any:
    """Give arrays a leading axis of ``count`` equal entries; None leaves them as they are."""
    if count is None:
        return data
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), data)


def list_batch_sizes(count: int, multiple: int = 1) -> list[int]:
    """List the sizes that a batch of ``count`` fits may shrink to.

    Each size is two thirds of the one before; from four times ``multiple`` down, it is smaller by
    one ``multiple``. All are multiples of ``multiple``. Every size that is used compiles one
    program, so a geometric sequence keeps their number logarithmic in ``count`` (10 for 64), while
    copies fill at most about a third of a batch.
    """
    sizes = [-(-count // multiple)]
    while sizes[-1] > 1:
        sizes.append(sizes[-1] - 1 if sizes[-1] <= 4 else sizes[-1] * 2 // 3)
    return [size * multiple for size in sizes]


def _split_evenly(steps: int, chunk: int) -> list[int]:
    """Split ``steps`` into equal pieces of about ``chunk``, so that one program runs them all.

    If no divisor of ``steps`` is within a factor of two of ``chunk``, a shorter piece comes last.
    """
    near = sorted(range(1, steps + 1), key=lambda n: (abs(n - chunk), n))
    size = next((n for n in near if steps % n == 0 and chunk <= 2 * n and n <= 2 * chunk), chunk)
    whole, rest = divmod(steps, size)
    return [size] * whole + [rest] * (rest > 0)


def _plan_chunks(steps: int, chunk: int, stop_after: int) -> list[int]:
    """List the numbers of steps between checks: first ``stop_after`` steps, then ``chunk`` each.

    No fit can stop before ``stop_after``, so no check is needed until then.
    """
    first = min(max(stop_after, 1), steps)
    whole, rest = divmod(steps - first, chunk)
    return [first, *[chunk] * whole, *([rest] if rest else [])]


def _check_untraced(*arguments: Any) -> None:
    """Raise TypeError inside a transformation of JAX.

    A traced argument reveals one; so does a constant created here, which is traced inside ``jit``
    even if all arguments are concrete.
    """
    if is_traced(arguments) or is_traced(jnp.zeros(())):
        raise TypeError(
            "fit_batch can't be traced by jax.jit, vmap or grad, because it checks on the host "
            "which fits have stopped. Call it outside of them, or trace s3net_jax.fit instead: "
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
    hooks: Hooks,
) -> Iterator[tuple[Piece | None, Ended | None]]:
    """Run all steps, piece by piece, and yield what :func:`_collect` puts together.

    Yields:
      ``(numbers, records), None`` after every piece: the batch number of each fit (−1 for a copy
      that pads the batch) and the records; ``None, (numbers, params, logits)`` for fits that ended.
    """
    sizes = list_batch_sizes(numbers.size, 1 if mesh is None else mesh.size)
    for n, count in enumerate(pieces):
        state, records = advance_fits(state, config, count, mesh, hooks)
        done = np.asarray(state.done)
        kept = numbers >= 0  # the others are copies that pad the batch
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
                # The batch would keep its size, so stopped fits may stay in it at no extra cost.
                # Their results are extracted once it shrinks.
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
    """Report means over the fits, each at the last of these steps that it ran."""
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
    # Compute logits for the whole batch, then select: another batch size would compile again.
    logits = np.asarray(compute_batch_logits(state, config, mesh))[places]
    params = jax.tree.map(lambda a: np.asarray(a)[places], state.params)
    return params, logits


def _collect(parts: Iterator[Any], count: int, config: Config) -> FitResult:
    """Assemble the records of all pieces and the ended fits in the order of the batch."""
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
                    full = (count, steps, *values.shape[2:])
                    history[name] = np.full(full, blank, values.dtype)
                history[name][numbers[real], at : at + length] = values[real]
            ran[numbers[real], at : at + length] = records.ran[real]
            if records.label_maps is not None:
                if maps is None:
                    shape = (count, steps, *records.label_maps.shape[2:])
                    maps = np.zeros(shape, records.label_maps.dtype)
                maps[numbers[real], at : at + length] = records.label_maps[real]
                # After an early stop, repeat the map of the last step, as `fit` does. Later
                # pieces overwrite this for fits that are still running.
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
