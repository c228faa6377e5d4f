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
from jax.tree_util import Partial

from s3net_jax.config import Config
from s3net_jax.fitting.custom import NO_HOOKS, Hooks, add_extra, check_hooks, compute_record
from s3net_jax.fitting.initial import initial_params
from s3net_jax.fitting.progress import report
from s3net_jax.fitting.transforms import set_transform
from s3net_jax.methods import Forward, Hyper, Shape, StepInputs, get_method
from s3net_jax.nn.layers import get_param_dtype
from s3net_jax.nn.precision import set_product_precision

__all__ = [
    "FitState",
    "Records",
    "advance",
    "begin",
    "compute_logits",
    "make_graph",
    "make_optimizer",
    "objective",
    "train_step",
]


def make_optimizer(
    hyper: Hyper, config: Config, hooks: Hooks = NO_HOOKS
) -> optax.GradientTransformation:
    """Make the optimiser of a fit: the given one, or the method's."""
    given = hooks.optimizer
    if given is None:
        return get_method(config.method.name).optimizer(hyper, config)
    return given if hasattr(given, "update") else given(hyper)


def objective(model: nnx.Module, inputs: StepInputs, config: Config) -> Forward:
    """Compute the loss of a method, and the custom term of ``inputs``.

    Args:
      model: network of the method.
      inputs: N images, dynamic numbers, and the other inputs of a step.
      config: static configuration.

    Returns:
      A :class:`Forward`: loss, terms, pseudo label, logits.

    Raises:
      ValueError: ``inputs`` lacks something that ``config`` needs, or the custom term does not
        return a single number.
    """
    result = get_method(config.method.name).objective(model, inputs, config)
    return add_extra(result, model, inputs)


def train_step(
    graph: nnx.GraphDef,
    params: nnx.State,
    momentum: optax.OptState,
    inputs: StepInputs,
    config: Config,
    hooks: Hooks = NO_HOOKS,
) -> tuple[nnx.State, optax.OptState, dict[str, Array], Array]:
    """Run one optimisation step: loss, gradient and update.

    Args:
      graph: graph definition of the network, from :func:`make_graph`.
      params: parameters, as :func:`s3net_jax.fitting.initial_params` draws them.
      momentum: state of the optimiser, ``make_optimizer(inputs.hyper, config).init(params)``.
      inputs: N images, dynamic numbers, and the other inputs of this step.
      config: static configuration.
      hooks: optimiser and records of the caller.

    Returns:
      ``(params, momentum, record, labels)``. ``params`` and ``momentum`` are updated; ``record``
      and ``labels`` belong to the forward pass before the update. ``record`` holds the () floats
      ``loss`` and the terms of the method (``ce``, ``affine``, ``spatial`` for S3-Net), ``extra``
      with a custom term, the () int32 ``labels``, the number of distinct labels, and what
      ``hooks.record`` returns; ``labels`` is the (N, H, W) int32 pseudo label.
    """
    method = get_method(config.method.name)

    def compute_loss(params: nnx.State):
        model = nnx.merge(graph, params)
        result = objective(model, inputs, config)
        record = _record(result, config)
        if hooks.record is not None:
            record |= compute_record(hooks.record, result, model, inputs)
        return result.loss, (record, result.labels)

    with set_product_precision(config.model):
        if method.step is None:
            gradient, (record, labels) = jax.grad(compute_loss, has_aux=True)(params)
            optimizer = make_optimizer(inputs.hyper, config, hooks)
            change, momentum = optimizer.update(gradient, momentum, params)
            params = optax.apply_updates(params, change)  # pyright: ignore[reportAssignmentType]
        else:
            params, momentum, result = method.step(graph, params, momentum, inputs, config)
            record, labels = _record(result, config), result.labels
    return params, momentum, record, labels


def _record(result: Forward, config: Config) -> dict[str, Array]:
    """Collect what the history of every fit keeps of a forward pass."""
    count = _count_labels(result.labels, config.model.channels)
    return {"loss": result.loss, **result.terms, "labels": count}


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitState:
    """The state of a fit between two steps; a pytree of arrays that can be vmapped and gathered.

    Attributes:
      inputs: inputs of every step; ``images`` are (1, H, W, C), and each step sets its own.
      params: parameters of the network.
      momentum: state of the optimiser, such as the momentum of SGD.
      step: () int32 index of the next step.
      done: () bool, whether the fit has stopped early.
      labels: (H, W) int16 pseudo labels of the last step.
      key: PRNG key for the random inputs of the steps.
      transforms: (steps, 2, 3) matrices or (steps, H, W, 2) coordinates that replace random
        transforms, or a function that draws those of a step; or None.
    """

    inputs: StepInputs
    params: Any
    momentum: Any
    step: Array
    done: Array
    labels: Array
    key: Array
    transforms: Array | Partial | None


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Records:
    """The records of some steps; every array has a leading axis of steps.

    Attributes:
      history: ``loss``, the method's terms, ``labels``, and what hooks add, of each step.
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
    transforms: Array | Partial | None = None,
    hooks: Hooks = NO_HOOKS,
) -> FitState:
    """Make the state before the first step.

    Args:
      key: PRNG key.
      inputs: (1, H, W, C) images, dynamic numbers, custom term and prepared data.
      config: static configuration.
      params: starting parameters that replace random ones, from :func:`.initial.read_params`.
      transforms: what replaces random ones, from :func:`.transforms.read_transforms`.
      hooks: optimiser and records of the caller; :func:`advance` must be given the same.
    """
    wide = get_param_dtype(config.model.dtype)
    method = get_method(config.method.name)
    check_hooks(method, hooks, inputs.extra)
    key_init, key_steps, key_start = jax.random.split(key, 3)
    start = initial_params(key_init, config, _get_shape(inputs.images))
    if params is not None:
        nnx.replace_by_pure_dict(start, params)
    inputs = dataclasses.replace(inputs, images=inputs.images.astype(wide))
    if method.start is not None:
        inputs = method.start(key_start, inputs, config)
    return FitState(
        inputs=inputs,
        params=start,
        momentum=make_optimizer(inputs.hyper, config, hooks).init(start),
        step=jnp.int32(0),
        done=jnp.asarray(False),
        labels=jnp.zeros(inputs.images.shape[1:3], jnp.int16),
        key=key_steps,
        transforms=transforms,
    )


def advance(
    state: FitState,
    config: Config,
    count: int,
    listener: Array | None = None,
    hooks: Hooks = NO_HOOKS,
) -> tuple[FitState, Records]:
    """Run ``count`` more steps; after an early stop, steps change nothing.

    Args:
      state: state of one fit; use ``vmap`` for several.
      config: static configuration.
      count: static number of steps; the counts of all calls must add up to ``config.fit.steps``.
      listener: number of the listener to report every step to, see :mod:`.progress`; None compiles
        a program without a callback, which JAX can keep in its cache.
      hooks: optimiser and records of the caller, the same as for :func:`begin`.
    """
    method, images = get_method(config.method.name), state.inputs.images
    graph = make_graph(config, _get_shape(images))
    stopping = config.fit.stop_labels > 0
    least: Array | int = config.fit.stop_labels
    if method.count_stop_labels is not None:
        least = method.count_stop_labels(state.inputs, config)

    def update(params, momentum, index):
        key = jax.random.fold_in(state.key, index)
        inputs = dataclasses.replace(state.inputs, key=key, step=index)
        inputs = set_transform(inputs, state.transforms)
        if method.draw is not None:
            inputs = method.draw(inputs, config)
        params, momentum, record, labels = train_step(
            graph, params, momentum, inputs, config, hooks
        )
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
            if hooks.record is None:
                extra = [] if state.inputs.extra is None else ["extra"]
                given = () if state.inputs.data is None else method.data_terms
                nan = jnp.full((), jnp.nan, images.dtype)
                names = ["loss", *method.terms, *given, *extra]
                record = {**dict.fromkeys(names, nan), "labels": jnp.int32(0)}
            else:  # traces the step once more to know the shapes
                record = jax.tree.map(_make_blank, jax.eval_shape(run, None)[2])
            return params, momentum, record, last

        # Without vmap, `cond` skips the work of steps after an early stop. Under vmap it becomes a
        # `select` that computes both branches, which is why fit_batch removes stopped fits.
        result = jax.lax.cond(done, rest, run, None) if stopping else run(None)
        params, momentum, record, labels = result
        ran = ~done
        if stopping:
            few = record["labels"] <= least
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
    method, images = get_method(config.method.name), state.inputs.images
    model = nnx.merge(make_graph(config, _get_shape(images)), state.params)
    with set_product_precision(config.model):
        return method.compute_logits(model, images, config)[0].astype(images.dtype)


def make_graph(config: Config, shape: Shape) -> nnx.GraphDef:
    """Build the graph definition of a method's network without allocating parameters.

    Args:
      config: configuration of the fit.
      shape: shape of the prepared image, (H, W, C).
    """
    method = get_method(config.method.name)

    def build() -> nnx.Module:
        return method.build(config, shape, nnx.Rngs(params=0))

    return nnx.split(nnx.eval_shape(build), nnx.Param)[0]


def _get_shape(images: Array) -> Shape:
    """Return (H, W, C) of images (N, H, W, C)."""
    return images.shape[1], images.shape[2], images.shape[3]


def _make_blank(kind: jax.ShapeDtypeStruct) -> Array:
    """Make what the history holds after an early stop: NaN, or 0 of integers."""
    floating = jnp.issubdtype(kind.dtype, jnp.floating)
    return jnp.full(kind.shape, jnp.nan if floating else 0, kind.dtype)


def _count_labels(labels: Array, channels: int) -> Array:
    """Count the distinct values of ``labels``, all in 0..channels−1."""
    # Each value is one bit of a set held in 32-bit words. Comparing every pixel with every value
    # was slower.
    words = jnp.arange(-(-channels // 32), dtype=jnp.uint32)
    value = labels.reshape(1, -1).astype(jnp.uint32)
    bits = jnp.where(value // 32 == words[:, None], jnp.uint32(1) << value % 32, 0)
    present = jnp.bitwise_or.reduce(bits, axis=1)
    return jnp.sum(jax.lax.population_count(present), dtype=jnp.int32)
