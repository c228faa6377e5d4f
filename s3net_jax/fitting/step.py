"""Run one SGD step, and the three parts of a fit: begin, advance, compute logits.

All are pure functions of one fit. :func:`s3net_jax.fit` composes them, and :mod:`.sharding` maps
them over a batch.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from s3net_jax.config import Config, ModelConfig
from s3net_jax.fitting.hyper import Hyper
from s3net_jax.fitting.initial import draw_palette, initial_params
from s3net_jax.fitting.objective import StepInputs, has_fixed_turns, objective
from s3net_jax.fitting.progress import report
from s3net_jax.nn import S3Net
from s3net_jax.nn.layers import get_param_dtype
from s3net_jax.nn.precision import set_product_precision
from s3net_jax.ops import draw_affine

__all__ = [
    "FitState",
    "Records",
    "advance",
    "begin",
    "compute_logits",
    "optimizer",
    "train_step",
]


def optimizer(hyper: Hyper) -> optax.GradientTransformation:
    """Build SGD with momentum; learning rate and momentum may be traced."""
    # optax accepts any scalar as momentum, but its annotation says float.
    return optax.sgd(hyper.learning_rate, hyper.momentum)  # pyright: ignore[reportArgumentType]


def train_step(
    graph: nnx.GraphDef,
    params: nnx.State,
    momentum: optax.OptState,
    inputs: StepInputs,
    config: Config,
) -> tuple[nnx.State, optax.OptState, dict[str, Array], Array]:
    """Run one optimisation step: loss, gradient and update.

    Args:
      graph: graph definition from ``nnx.split(S3Net(...), nnx.Param)``.
      params: parameters from the same call.
      momentum: state of ``optimizer(inputs.hyper)``.
      inputs: N images, dynamic numbers, transform, palette and custom term.
      config: static configuration.

    Returns:
      ``(params, momentum, record, labels)``. ``params`` and ``momentum`` are updated; ``record``
      and ``labels`` belong to the forward pass before the update. ``record`` holds the () floats
      ``loss``, ``ce``, ``affine``, ``spatial``, and ``extra`` with a custom term, and the () int32
      ``labels``, the number of distinct labels; ``labels`` is the (N, H, W) int32 pseudo label.
    """

    def compute_loss(params: nnx.State):
        return objective(nnx.merge(graph, params), inputs, config.loss)

    with set_product_precision(config.model):
        gradient, (terms, labels) = jax.grad(compute_loss, has_aux=True)(params)
    change, momentum = optimizer(inputs.hyper).update(gradient, momentum)
    params = optax.apply_updates(params, change)  # pyright: ignore[reportAssignmentType]
    record = {**terms, "labels": _count_labels(labels, config.model.channels)}
    return params, momentum, record, labels


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitState:
    """The state of a fit between two steps; a pytree of arrays that can be vmapped and gathered.

    Attributes:
      inputs: inputs of every step; ``images`` are (1, H, W, 3), and each step sets ``matrix``.
      params: parameters of the network.
      momentum: momentum of SGD.
      step: () int32 index of the next step.
      done: () bool, whether the fit has stopped early.
      labels: (H, W) int16 pseudo labels of the last step.
      key: PRNG key for the transforms.
      transforms: (steps, 2, 3) matrices that replace random ones, or None.
    """

    inputs: StepInputs
    params: Any
    momentum: Any
    step: Array
    done: Array
    labels: Array
    key: Array
    transforms: Array | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Records:
    """The records of some steps; every array has a leading axis of steps.

    Attributes:
      history: ``loss``, ``ce``, ``affine``, ``spatial``, ``extra`` (only with a custom term) and
        ``labels`` of each step.
      ran: (steps,) bool, false after an early stop.
      label_maps: (steps, H, W) int16 pseudo labels; None unless ``config.fit.record_labels``.
    """

    history: dict[str, Array]
    ran: Array
    label_maps: Array | None


def begin(
    key: Array,
    inputs: StepInputs,
    config: Config,
    params: Any = None,
    transforms: Array | None = None,
) -> FitState:
    """Make the state before the first step.

    Args:
      key: PRNG key.
      inputs: (1, H, W, 3) images, dynamic numbers and custom term; this function draws the palette.
      config: static configuration.
      params: starting parameters that replace random ones, from :func:`.initial.read_params`.
      transforms: matrices that replace random ones, from :func:`.checks.read_transforms`.
    """
    wide = get_param_dtype(config.model.dtype)
    shape = inputs.images.shape[1], inputs.images.shape[2]
    key_init, key_transform, key_palette = jax.random.split(key, 3)
    start = initial_params(key_init, config.model, shape)
    if params is not None:
        nnx.replace_by_pure_dict(start, params)
    return FitState(
        inputs=dataclasses.replace(
            inputs,
            images=inputs.images.astype(wide),
            palette=draw_palette(key_palette, config.model.channels, wide),
        ),
        params=start,
        momentum=optimizer(inputs.hyper).init(start),
        step=jnp.int32(0),
        done=jnp.asarray(False),
        labels=jnp.zeros(shape, jnp.int16),
        key=key_transform,
        transforms=transforms,
    )


def advance(
    state: FitState, config: Config, count: int, listener: Array | None = None
) -> tuple[FitState, Records]:
    """Run ``count`` more steps; after an early stop, steps change nothing.

    Args:
      state: state of one fit; use ``vmap`` for several.
      config: static configuration.
      count: static number of steps; the counts of all calls must add up to ``config.fit.steps``.
      listener: number of the listener to report every step to, see :mod:`.progress`; None compiles
        a program without a callback, which JAX can keep in its cache.
    """
    images = state.inputs.images
    shape, wide = (images.shape[1], images.shape[2]), images.dtype
    graph = _make_graph(config.model, shape)
    stopping = config.fit.stop_labels > 0

    def update(params, momentum, index):
        if state.transforms is None and has_fixed_turns(config.loss.affine, shape):
            matrix = None
        elif state.transforms is None:
            step_key = jax.random.fold_in(state.key, index)
            matrix = draw_affine(step_key, config.loss.affine, shape, wide)
        else:
            matrix = state.transforms[index].astype(wide)
        inputs = dataclasses.replace(state.inputs, matrix=matrix)
        params, momentum, record, labels = train_step(graph, params, momentum, inputs, config)
        if listener is not None:
            jax.debug.callback(report, listener, index, record, ordered=False)
        return params, momentum, record, labels[0].astype(jnp.int16)

    # Matters only for gradients through a whole fit: the backward pass recomputes the feature maps
    # of each step instead of keeping those of all steps in memory.
    update = jax.checkpoint(update)

    def step(carry, index):
        params, momentum, done, last = carry

        def run(_):
            return update(params, momentum, index)

        def rest(_):
            nan = jnp.full((), jnp.nan, wide)
            record = {"loss": nan, "ce": nan, "affine": nan, "spatial": nan}
            if state.inputs.extra is not None:
                record["extra"] = nan
            return params, momentum, {**record, "labels": jnp.int32(0)}, last

        # Without vmap, `cond` skips the work of steps after an early stop. Under vmap it becomes a
        # `select` that computes both branches, which is why fit_batch removes stopped fits.
        result = jax.lax.cond(done, rest, run, None) if stopping else run(None)
        params, momentum, record, labels = result
        ran = ~done
        if stopping:
            few = record["labels"] <= config.fit.stop_labels
            done = done | (few & (index + 1 >= config.fit.stop_after))
        maps = labels if config.fit.record_labels else None
        return (params, momentum, done, labels), Records(record, ran, maps)

    first = (state.params, state.momentum, state.done, state.labels)
    indices = state.step + jnp.arange(count, dtype=jnp.int32)
    (params, momentum, done, labels), records = jax.lax.scan(step, first, indices)
    after = dataclasses.replace(
        state,
        params=params,
        momentum=momentum,
        done=done,
        labels=labels,
        step=state.step + count,
    )
    return after, records


def compute_logits(state: FitState, config: Config) -> Array:
    """Compute the (H, W, K) logits of the current network, in the parameters' dtype."""
    images = state.inputs.images
    model = nnx.merge(_make_graph(config.model, images.shape[1:3]), state.params)
    with set_product_precision(config.model):
        return model.decode(model.encode(images)[0], images)[0].astype(images.dtype)


def _make_graph(config: ModelConfig, shape: tuple[int, ...]) -> nnx.GraphDef:
    """Build the network's graph definition without allocating parameters."""

    def build() -> S3Net:
        return S3Net(config, (shape[0], shape[1]), rngs=nnx.Rngs(params=0))

    return nnx.split(nnx.eval_shape(build), nnx.Param)[0]


def _count_labels(labels: Array, channels: int) -> Array:
    """Count the distinct values of ``labels``, all in 0..channels−1."""
    # Each value is one bit of a set held in 32-bit words. Comparing every pixel with every value
    # was slower.
    words = jnp.arange(-(-channels // 32), dtype=jnp.uint32)
    value = labels.reshape(1, -1).astype(jnp.uint32)
    bits = jnp.where(value // 32 == words[:, None], jnp.uint32(1) << value % 32, 0)
    present = jnp.bitwise_or.reduce(bits, axis=1)
    return jnp.sum(jax.lax.population_count(present), dtype=jnp.int32)
