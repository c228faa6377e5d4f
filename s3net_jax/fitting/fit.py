"""The optimisation of one image as one compiled program: a scan of SGD steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.tree_util import Partial
from jax.typing import ArrayLike

from s3net_jax.config import Config, check_config
from s3net_jax.fitting.checks import (
    check_image,
    check_listener,
    read_hyper,
    read_keys,
    read_pixels,
    read_transforms,
)
from s3net_jax.fitting.hyper import Hyper, hyperparameters, static_config
from s3net_jax.fitting.initial import read_params
from s3net_jax.fitting.objective import ExtraLoss, StepInputs, read_extra
from s3net_jax.fitting.progress import Progress, run_with_listener
from s3net_jax.fitting.step import advance, begin, compute_logits
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.nn.layers import get_param_dtype

__all__ = ["FitResult", "fit"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitResult:
    """What :func:`fit` returns; a pytree.

    Attributes:
      labels: (H, W) int32 in 0..K−1, argmax of ``logits``; not compacted.
      logits: (H, W, K) float32 (float64 with float64), of the trained network.
      history: ``loss``, ``ce``, ``affine``, ``spatial``, and ``extra`` of an ``extra_loss``:
        (steps,) floats, NaN after an early stop; ``labels``: (steps,) int32, distinct pseudo
        labels, 0 after an early stop. Each belongs to the forward pass of its step, before the
        update.
      steps: () int32, number of steps done.
      label_maps: (steps, H, W) int16 pseudo labels of every step (that of the last step done
        after an early stop), or None unless ``config.fit.record_labels``.
      params: the trained parameters, a state of :class:`s3net_jax.nn.S3Net`.
    """

    labels: Array
    logits: Array
    history: dict[str, Array]
    steps: Array
    label_maps: Array | None
    params: Any


@use_default_settings()
def fit(
    key: Array,
    image: ArrayLike,
    config: Config,
    *,
    hyper: Hyper | None = None,
    params: Any = None,
    transforms: ArrayLike | None = None,
    extra_loss: ExtraLoss | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Train S3-Net on one image and return its segmentation.

    Pure in its array arguments: it composes with ``jit``, ``vmap`` (over key, image, hyper,
    params), ``shard_map`` (with ``check_vma=False``), reverse-mode ``grad`` (the backward passes
    of all kernels can be differentiated again, which then happens in plain JAX), and forward-mode
    ``jvp`` (with ``model.implementation="reference"``, which is slow). One program is compiled for
    each image shape and static configuration, whatever types its numbers, keys and images come in,
    and one more with ``progress``. Of ``config`` it reads ``model``, ``loss`` and ``fit`` without
    ``fit.members``: the image is prepared, and this is one fit. The same arguments on the same
    device give the same bits, on a GPU inside ``s3net_kernels.config(deterministic=True)``.

    Args:
      key: PRNG key; decides initial parameters, transforms and palette.
      image: (H, W, 3) floating point in [0, 1]; :func:`s3net_jax.prepare` makes one.
      config: static configuration; :func:`s3net_jax.preset` gives one.
      hyper: dynamic loss weights, learning rate and momentum in place of the configuration's.
      params: starting parameters in place of random ones, a state of S3Net or a nested dict
        as :func:`s3net_jax.interop.from_torch` gives.
      transforms: (steps, 2, 3) matrices in place of drawn ones; see
        :func:`s3net_jax.ops.affine_matrix`.
      extra_loss: a term to add to the joint loss, ``(logits (H, W, K), labels (H, W) int32,
        image (H, W, 3)) -> ()``, of the main head's logits, the pseudo label and the image. The
        program is compiled again for each function; arrays that ``jax.tree_util.Partial`` binds
        to its first arguments may change without that, and be vmapped and differentiated.
      progress: called on the host as ``progress(step, {"loss": ..., "labels": ...})`` after
        every step. ``fit`` then returns after the last call, and raises what ``progress`` raises.
        Inside ``jit`` and other transformations the listener is kept as long as the process lives.

    Returns:
      A :class:`FitResult`.

    Raises:
      ValueError: an argument, or what ``extra_loss`` returns, has another shape than described.
      TypeError: an argument has another type, such as an image of integers.
    """
    check_config(config)
    wide = get_param_dtype(config.model.dtype)
    image = read_pixels(image, wide)
    check_image(image.shape)
    key = read_keys(key)
    if key.shape != ():
        raise ValueError(
            f"fit takes one key, not keys of the shape {key.shape}: fit_batch or jax.vmap "
            "take several."
        )
    check_listener(progress)
    arguments = (
        key,
        image,
        read_hyper(hyperparameters(config) if hyper is None else hyper, wide),
        read_params(params, config.model, (image.shape[0], image.shape[1])),
        read_transforms(transforms, config.fit.steps, wide),
        read_extra(extra_loss, wide),
    )
    static = static_config(config)
    if progress is None:
        return _fit(*arguments, static, None)
    return run_with_listener(progress, lambda number: _fit(*arguments, static, number))


@partial(jax.jit, static_argnames="config")
def _fit(
    key: Array,
    image: Array,
    hyper: Hyper,
    params: Any,
    transforms: Array | None,
    extra: Partial | None,
    config: Config,
    listener: Array | None,
) -> FitResult:
    inputs = StepInputs(image[None], hyper, extra=extra)
    state = begin(key, inputs, config, params, transforms)
    state, records = advance(state, config, config.fit.steps, listener)
    logits = compute_logits(state, config)
    return FitResult(
        labels=jnp.argmax(logits, -1).astype(jnp.int32),
        logits=logits,
        history=records.history,
        steps=jnp.sum(records.ran, dtype=jnp.int32),
        label_maps=records.label_maps,
        params=state.params,
    )
