"""A fit in pieces: begin, some steps, finish. Pure functions; :func:`fit` is all of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.tree_util import Partial

from s3net_jax.config import Config, ModelConfig
from s3net_jax.fitting.hyper import Hyper
from s3net_jax.fitting.initial import initial_params
from s3net_jax.fitting.objective import always_turns
from s3net_jax.fitting.palette import grey_palette
from s3net_jax.fitting.progress import report
from s3net_jax.fitting.step import optimizer, train_step
from s3net_jax.nn import S3Net
from s3net_jax.nn.layers import param_dtype
from s3net_jax.nn.precision import product_precision
from s3net_jax.ops import draw_affine

__all__ = ["FitState", "Records", "advance", "begin", "logits_of"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitState:
    """A fit between two steps; a pytree of arrays, to be vmapped, sliced and gathered.

    Attributes:
      image: (H, W, 3) in the parameters' dtype.
      hyper: the dynamic numbers.
      params, momentum: of the network and of SGD.
      step: () int32, the index of the next step.
      done: () bool, whether an early stop has come.
      labels: (H, W) int16 pseudo labels of the last step.
      key: PRNG key of the transforms.
      palette: (K,) grey values of the hard spatial loss.
      transforms: (steps, 2, 3) matrices in place of drawn ones, or None.
      extra: a further term of the loss, with the arrays it binds, or None.
    """

    image: Array
    hyper: Hyper
    params: Any
    momentum: Any
    step: Array
    done: Array
    labels: Array
    key: Array
    palette: Array
    transforms: Array | None
    extra: Partial | None = None


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
    image: Array,
    hyper: Hyper,
    config: Config,
    params: Any = None,
    transforms: Array | None = None,
    extra: Partial | None = None,
) -> FitState:
    """The state before the first step.

    Args:
      key, image, hyper, params, transforms, extra: of :func:`s3net_jax.fit`, as
        :mod:`.arguments` and :mod:`.initial` read them.
      config: static.
    """
    wide = param_dtype(config.model.dtype)
    shape = (image.shape[0], image.shape[1])
    key_init, key_transform, key_palette = jax.random.split(key, 3)
    start = initial_params(key_init, config.model, shape)
    if params is not None:
        nnx.replace_by_pure_dict(start, params)
    return FitState(
        image=image.astype(wide),
        hyper=hyper,
        params=start,
        momentum=optimizer(hyper).init(start),
        step=jnp.int32(0),
        done=jnp.asarray(False),
        labels=jnp.zeros(shape, jnp.int16),
        key=key_transform,
        palette=grey_palette(key_palette, config.model.channels, wide),
        transforms=transforms,
        extra=extra,
    )


def advance(
    state: FitState, config: Config, count: int, listener: Array | None = None
) -> tuple[FitState, Records]:
    """``count`` more steps; none where an early stop has come.

    Args:
      state: of one fit; ``vmap`` for several.
      config: static.
      count: static; the caller sees to it that all together are ``config.fit.steps``.
      listener: number of the listener that hears of every step, see :mod:`.progress`; without
        one the program holds no callback.
    """
    shape = (state.image.shape[0], state.image.shape[1])
    wide = state.image.dtype
    graph = _graph(config.model, shape)
    stopping = config.fit.stop_labels > 0

    def update(params, momentum, index):
        if state.transforms is None and always_turns(config.loss.affine, shape):
            matrix = None
        elif state.transforms is None:
            step_key = jax.random.fold_in(state.key, index)
            matrix = draw_affine(step_key, config.loss.affine, shape, wide)
        else:
            matrix = state.transforms[index].astype(wide)
        params, momentum, record, labels = train_step(
            graph,
            params,
            momentum,
            state.image[None],
            state.hyper,
            config,
            matrix,
            state.palette,
            state.extra,
        )
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
            if state.extra is not None:
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


def logits_of(state: FitState, config: Config) -> Array:
    """(H, W, K) logits of the network as it is now, in the parameters' dtype."""
    images = state.image[None]
    model = nnx.merge(_graph(config.model, images.shape[1:3]), state.params)
    with product_precision(config.model):
        return model.decode(model.encode(images)[0], images)[0].astype(state.image.dtype)


def _graph(config: ModelConfig, shape: tuple[int, ...]) -> nnx.GraphDef:
    """The network without its parameters."""

    def build() -> S3Net:
        return S3Net(config, (shape[0], shape[1]), rngs=nnx.Rngs(params=0))

    return nnx.split(nnx.eval_shape(build), nnx.Param)[0]
