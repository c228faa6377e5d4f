"""The optimisation of one image as one compiled program: a scan of SGD steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from s3net_jax.config import Config, ModelConfig
from s3net_jax.fitting.hyper import Hyper, hyperparameters, static_config
from s3net_jax.fitting.step import optimizer, train_step
from s3net_jax.nn import S3Net
from s3net_jax.nn.layers import param_dtype
from s3net_jax.nn.precision import product_precision
from s3net_jax.ops import draw_affine

__all__ = ["FitResult", "fit", "initial_params"]

Progress = Callable[[int, dict[str, Any]], None]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitResult:
    """What :func:`fit` returns; a pytree.

    Attributes:
      labels: (H, W) int32 in 0..K−1, argmax of ``logits``; not compacted.
      logits: (H, W, K) float32 (float64 with float64), of the trained network.
      history: ``loss``, ``ce``, ``affine``, ``spatial``: (steps,) floats, NaN after an early
        stop; ``labels``: (steps,) int32, distinct pseudo labels, 0 after an early stop. Each
        belongs to the forward pass of its step, before the update.
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


def initial_params(key: Array, config: ModelConfig, shape: tuple[int, int]) -> nnx.State:
    """The parameters a network starts from: the ``params`` of :class:`S3Net` for ``key``.

    Args:
      key: a PRNG key.
      config: the network.
      shape: (H, W) of the image; matters only for ``deform="free"``.
    """
    return nnx.state(S3Net(config, shape, rngs=nnx.Rngs(params=key)), nnx.Param)


def fit(
    key: Array,
    image: Array,
    config: Config,
    *,
    hyper: Hyper | None = None,
    params: Any = None,
    transforms: Array | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Train S3-Net on one image and return its segmentation.

    Pure in its array arguments: it composes with ``jit``, ``vmap`` (over key, image, hyper,
    params), ``shard_map``, and reverse-mode ``grad`` (with ``model.implementation="xla"`` or
    ``"reference"``, whose backward passes can be differentiated again). One program is
    compiled for each image shape and static configuration. The same arguments on the same
    device give the same bits.

    Args:
      key: PRNG key; decides initial parameters, transforms and palette.
      image: (H, W, 3) floating point in [0, 1].
      config: static; :func:`s3net_jax.preset` gives one.
      hyper: dynamic loss weights, learning rate and momentum in place of the configuration's.
      params: starting parameters in place of random ones, a state of S3Net or a nested dict
        as :func:`s3net_jax.interop.from_torch` gives.
      transforms: (steps, 2, 3) matrices in place of drawn ones; see
        :func:`s3net_jax.ops.affine_matrix`.
      progress: called on the host as ``progress(step, {"loss": ..., "labels": ...})`` after
        every step; without it the program holds no callback.

    Returns:
      A :class:`FitResult`.

    Raises:
      ValueError: ``image`` or ``transforms`` has another shape than described.
    """
    image = jnp.asarray(image)
    if image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(f"fit takes an image (H, W, 3); the shape given is {image.shape}.")
    if min(image.shape[:2]) < 8:
        raise ValueError(f"fit takes images of at least 8×8 pixels; this one is {image.shape[:2]}.")
    if transforms is not None and transforms.shape != (config.fit.steps, 2, 3):
        raise ValueError(
            f"transforms has the shape {transforms.shape}; for {config.fit.steps} steps it "
            f"must be ({config.fit.steps}, 2, 3)."
        )
    if hyper is None:
        hyper = hyperparameters(config)
    return _fit(key, image, hyper, params, transforms, static_config(config), progress)


@partial(jax.jit, static_argnames=("config", "progress"))
def _fit(
    key: Array,
    image: Array,
    hyper: Hyper,
    params: Any,
    transforms: Array | None,
    config: Config,
    progress: Progress | None,
) -> FitResult:
    wide = param_dtype(config.model.dtype)
    shape = (image.shape[0], image.shape[1])
    images = image.astype(wide)[None]
    key_init, key_transform, key_palette = jax.random.split(key, 3)

    graph, start = nnx.split(S3Net(config.model, shape, rngs=nnx.Rngs(params=key_init)), nnx.Param)
    if params is not None:
        start = _take(start, params)
    palette = jax.random.uniform(key_palette, (config.model.channels,), wide)

    def update(params, momentum, index):
        if transforms is None:
            step_key = jax.random.fold_in(key_transform, index)
            matrix = draw_affine(step_key, config.loss.affine, shape, wide)
        else:
            matrix = transforms[index].astype(wide)
        params, momentum, record, labels = train_step(
            graph, params, momentum, images, hyper, config, matrix, palette
        )
        if progress is not None:
            jax.debug.callback(partial(_report, progress), index, record, ordered=False)
        return params, momentum, record, labels[0].astype(jnp.int16)

    # Rematerialised only when somebody differentiates through the whole fit.
    update = jax.checkpoint(update)
    stopping = config.fit.stop_labels > 0

    def step(carry, index):
        params, momentum, done, last = carry

        def run(_):
            return update(params, momentum, index)

        def rest(_):
            nan = jnp.full((), jnp.nan, wide)
            record = {"loss": nan, "ce": nan, "affine": nan, "spatial": nan}
            return params, momentum, {**record, "labels": jnp.int32(0)}, last

        # Not vmapped, a conditional really skips the work of the steps after a stop.
        result = jax.lax.cond(done, rest, run, None) if stopping else run(None)
        params, momentum, record, labels = result
        ran = ~done
        if stopping:
            few = record["labels"] <= config.fit.stop_labels
            done = done | (few & (index + 1 >= config.fit.stop_after))
        maps = labels if config.fit.record_labels else None
        return (params, momentum, done, labels), (record, ran, maps)

    first = (start, optimizer(hyper).init(start), jnp.asarray(False), jnp.zeros(shape, jnp.int16))
    (params, *_), (history, ran, maps) = jax.lax.scan(step, first, jnp.arange(config.fit.steps))

    model = nnx.merge(graph, params)
    with product_precision(config.model):
        logits = model.decode(model.encode(images)[0], images)[0].astype(wide)
    return FitResult(
        labels=jnp.argmax(logits, -1).astype(jnp.int32),
        logits=logits,
        history=history,
        steps=jnp.sum(ran, dtype=jnp.int32),
        label_maps=maps,
        params=params,
    )


def _report(progress: Progress, index: Any, record: dict[str, Any]) -> None:
    progress(int(index) + 1, {name: value.item() for name, value in record.items()})


def _take(start: nnx.State, params: Any) -> nnx.State:
    """``params`` (a State or a nested dict) in the structure and dtype of ``start``."""
    given = nnx.to_pure_dict(params) if isinstance(params, nnx.State) else params
    expected = nnx.to_pure_dict(start)
    if jax.tree.structure(given) != jax.tree.structure(expected):
        raise ValueError(
            "The starting parameters have other names than the configured network has: "
            "make both from the same model configuration."
        )
    for (path, new), old in zip(
        jax.tree_util.tree_leaves_with_path(given), jax.tree.leaves(expected), strict=True
    ):
        if jnp.shape(new) != jnp.shape(old):
            name = jax.tree_util.keystr(path)
            raise ValueError(
                f"The starting parameter {name} has the shape {jnp.shape(new)}, the configured "
                f"network needs {jnp.shape(old)}."
            )
    cast = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), given, expected)
    nnx.replace_by_pure_dict(start, cast)
    return start
