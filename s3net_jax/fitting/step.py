"""One SGD step on one image, and a fit in pieces: begin, some steps, logits.

Pure functions of one fit; :func:`s3net_jax.fit` is all of them, and :mod:`.sharding` maps them
over a batch.
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
    """Build SGD with momentum; rate and momentum may be traced."""
    # The stubs want a Python float for the momentum; any scalar works.
    return optax.sgd(hyper.learning_rate, hyper.momentum)  # pyright: ignore[reportArgumentType]


def train_step(
    graph: nnx.GraphDef,
    params: nnx.State,
    momentum: optax.OptState,
    inputs: StepInputs,
    config: Config,
) -> tuple[nnx.State, optax.OptState, dict[str, Array], Array]:
    """Do one optimisation step: loss, gradient and update.

    Args:
      graph, params: ``nnx.split(S3Net(...), nnx.Param)``.
      momentum: state of ``optimizer(inputs.hyper)``.
      inputs: what the step reads: N images, dynamic numbers, the step's transform, ...
      config: static configuration.

    Returns:
      The new parameters and momentum; ``loss``, ``ce``, ``affine``, ``spatial``, and ``extra``
      where there is one, () floats, and ``labels``, () int32, of the forward pass before the
      update; its pseudo label, (N, H, W) int32.
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
    """A fit between two steps; a pytree of arrays, to be vmapped, sliced and gathered.

    Attributes:
      inputs: what every step reads; ``images`` are (1, H, W, 3), ``matrix`` is set step by step.
      params: parameters of the network.
      momentum: momentum of SGD.
      step: () int32, the index of the next step.
      done: () bool, whether an early stop has come.
      labels: (H, W) int16 pseudo labels of the last step.
      key: PRNG key of the transforms.
      transforms: (steps, 2, 3) matrices in place of drawn ones, or None.
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
    """What some steps left behind; every array has a leading axis of steps.

    Attributes:
      history: ``loss``, ``ce``, ``affine``, ``spatial``, ``extra`` where there is such a term,
        and ``labels`` of each step.
      ran: (steps,) bool, false after an early stop.
      label_maps: (steps, H, W) int16, or None unless they are recorded.
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
    """Draw the state before the first step.

    Args:
      key: PRNG key.
      inputs: (1, H, W, 3) images, dynamic numbers and custom term; the palette is drawn here.
      config: static configuration.
      params: starting parameters in place of drawn ones, as :func:`.initial.read_params` returns.
      transforms: matrices in place of drawn ones, as :func:`.checks.read_transforms` returns.
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
    """Do ``count`` more steps; none after an early stop.

    Args:
      state: state of one fit; ``vmap`` for several.
      config: static configuration.
      count: static number of steps; all calls together must make ``config.fit.steps``.
      listener: number of the listener that hears of every step, see :mod:`.progress`; without
        one the program holds no callback.
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

    # Rematerialised only when somebody differentiates through the whole fit.
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

        # Not vmapped, a conditional really skips the work of the steps after a stop.
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
    """Compute (H, W, K) logits of the network as it is now, in the parameters' dtype."""
    images = state.inputs.images
    model = nnx.merge(_make_graph(config.model, images.shape[1:3]), state.params)
    with set_product_precision(config.model):
        return model.decode(model.encode(images)[0], images)[0].astype(images.dtype)


def _make_graph(config: ModelConfig, shape: tuple[int, ...]) -> nnx.GraphDef:
    """Make the network without its parameters."""

    def build() -> S3Net:
        return S3Net(config, (shape[0], shape[1]), rngs=nnx.Rngs(params=0))

    return nnx.split(nnx.eval_shape(build), nnx.Param)[0]


def _count_labels(labels: Array, channels: int) -> Array:
    """Count the distinct values of ``labels``, all in 0..channels−1."""
    # A bit for each, in words of 32: comparing each pixel with each value took longer.
    words = jnp.arange(-(-channels // 32), dtype=jnp.uint32)
    value = labels.reshape(1, -1).astype(jnp.uint32)
    bits = jnp.where(value // 32 == words[:, None], jnp.uint32(1) << value % 32, 0)
    present = jnp.bitwise_or.reduce(bits, axis=1)
    return jnp.sum(jax.lax.population_count(present), dtype=jnp.int32)
