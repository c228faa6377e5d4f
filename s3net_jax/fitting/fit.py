"""Fit a method to one image in one compiled program: a scan over steps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from s3net_jax.config import Config
from s3net_jax.fitting.arguments import FitArrays, begin_fit, read_arguments
from s3net_jax.fitting.checks import check_listener
from s3net_jax.fitting.custom import ExtraLoss, Hooks, Optimizer, Record, make_hooks
from s3net_jax.fitting.hyper import static_config
from s3net_jax.fitting.progress import Progress, run_with_listener
from s3net_jax.fitting.step import advance, compute_logits
from s3net_jax.fitting.transforms import Transforms
from s3net_jax.jax_setup import use_default_settings
from s3net_jax.methods import Hyper

__all__ = ["FitResult", "fit"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitResult:
    """The result of :func:`fit`; a pytree.

    Attributes:
      labels: (H, W) int32 in 0..K−1, the argmax of ``logits``; numbers may be missing.
      logits: (H, W, K) float32 logits of the trained network (float64 if the model is float64).
      history: values of every step, from its forward pass before the update. ``loss``, the
        method's terms (``ce``, ``affine``, ``spatial`` for S3-Net), and ``extra`` with a custom
        term are (steps,) floats, NaN after an early stop; ``labels`` is (steps,) int32, the number
        of distinct pseudo labels, 0 after an early stop. What ``record`` returns has a leading axis
        of steps.
      steps: () int32, number of steps before an early stop, or all steps.
      label_maps: (steps, H, W) int16 pseudo labels of every step, repeating the last map after
        an early stop; None unless ``config.fit.record_labels``.
      params: trained parameters, a state of the network (:class:`s3net_jax.nn.S3Net`).
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
    transforms: Transforms | None = None,
    extra_loss: ExtraLoss | None = None,
    optimizer: Optimizer | None = None,
    record: Record | None = None,
    data: Any = None,
    progress: Progress | None = None,
) -> FitResult:
    """Train the network of a method, such as S3-Net, on one image and return its segmentation.

    The function is pure in its array arguments. It composes with ``jit``, ``vmap`` (over key,
    image, hyper, params), ``shard_map`` (with ``check_vma=False``), reverse-mode ``grad`` (also of
    second order: the kernels' backward passes are then differentiated in plain JAX), and
    forward-mode ``jvp`` (with ``model.implementation="reference"``, which is slow).

    JAX compiles one program for each image shape and static configuration, and another one with
    ``progress``; the types of numbers, keys and images do not matter. ``fit`` reads
    ``config.model``, ``config.loss`` and ``config.fit`` except ``fit.members``: it runs a single
    fit of a prepared image. The same arguments on the same device give the same bits; on a GPU,
    this needs ``s3net_kernels.config(deterministic=True)``.

    Args:
      key: PRNG key for the initial parameters, transforms and palette.
      image: (H, W, C) floating point in [0, 1], as :func:`s3net_jax.prepare` returns it with
        C = 3; other numbers of channels work with every method that builds its network for them.
      config: static configuration, as :func:`s3net_jax.preset` returns it.
      hyper: dynamic loss weights, learning rate and momentum that replace the configuration's.
      params: starting parameters that replace the random ones: a state of the network, or a dict
        as :func:`s3net_jax.interop.from_torch` returns it.
      transforms: transforms of the affine consistency in place of random ones: (steps, 2, 3)
        matrices, see :func:`s3net_jax.ops.affine_matrix`; (steps, H, W, 2) source coordinates, see
        :func:`s3net_jax.ops.warp`; or a function ``(key, (H, W)) -> matrix or coordinates`` that
        draws the transform of a step. Functions compile and bind arrays as those of
        ``extra_loss``.
      extra_loss: custom term to add to the loss, ``(logits (H, W, K), labels (H, W) int32,
        image (H, W, C)) -> ()``, a function of the main head's logits, the pseudo label and the
        image. If it has a parameter ``context``, it is passed a :class:`Context` with features,
        auxiliary logits, parameters and step. Each new function compiles again; arrays bound to its
        first arguments by ``jax.tree_util.Partial`` can change without compiling, and can be
        vmapped and differentiated.
      optimizer: any ``optax.GradientTransformation``, including schedules and clipping, in
        place of the method's; or a function that makes one from a :class:`Hyper`, whose learning
        rate then stays dynamic. Compiles again for each new object.
      record: function ``(context) -> dict`` of arrays to keep of every step; see :class:`Context`.
        They join ``history``. Compiles again for each new function.
      data: arrays that the method prepares from the image, as :func:`prepare_data` returns them;
        None computes them here, unless the image is traced. Or what only the caller has, such as
        the scribbles of DFC, ``{"scribbles": (H, W) integers}``.
      progress: function called on the host as ``progress(step, {"loss": ..., "labels": ...})``
        after every step. ``fit`` returns after the last call and re-raises its errors. Inside
        ``jit`` and other transformations, the function is kept until the process ends.

    Returns:
      A :class:`FitResult`.

    Raises:
      ValueError: an argument, or the result of ``extra_loss``, has the wrong shape.
      TypeError: an argument has the wrong type, such as an image of integers.
    """
    check_listener(progress)
    arguments = read_arguments(key, image, config, hyper, params, transforms, extra_loss, data)
    static, hooks = static_config(config), make_hooks(optimizer, record)
    if progress is None:
        return _fit(*arguments, static, hooks, None)
    return run_with_listener(progress, lambda number: _fit(*arguments, static, hooks, number))


@partial(jax.jit, static_argnames=("config", "hooks"))
def _fit(
    arrays: FitArrays, image: Array, config: Config, hooks: Hooks, listener: Array | None
) -> FitResult:
    state = begin_fit(arrays, image, config, hooks)
    state, records = advance(state, config, config.fit.steps, listener, hooks)
    logits = compute_logits(state, config)
    return FitResult(
        labels=jnp.argmax(logits, -1).astype(jnp.int32),
        logits=logits,
        history=records.history,
        steps=jnp.sum(records.ran, dtype=jnp.int32),
        label_maps=records.label_maps,
        params=state.params,
    )
