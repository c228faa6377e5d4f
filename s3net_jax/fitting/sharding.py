"""Map the parts of a fit (:mod:`.step`) over a batch, on one device or sharded across several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import Partial

from s3net_jax.config import Config
from s3net_jax.fitting.custom import NO_HOOKS, Hooks
from s3net_jax.fitting.data import add_axis, prepare_data
from s3net_jax.fitting.hyper import hyperparameters, static_config
from s3net_jax.fitting.step import FitState, Records, advance, begin, compute_logits
from s3net_jax.methods import Hyper, StepInputs
from s3net_jax.nn.layers import get_param_dtype

__all__ = [
    "BatchArrays",
    "advance_fits",
    "batch_bytes",
    "begin_fits",
    "compute_batch_logits",
    "gather_fits",
    "make_mesh",
]

_AXIS = "fits"


def make_mesh(devices: Sequence[Any] | None) -> Mesh | None:
    """Make a mesh to shard a batch across; None returns None, for the default device."""
    return None if devices is None else Mesh(np.array(devices), (_AXIS,))


def _map_fits(function: Callable[..., Any], mesh: Mesh | None) -> Any:
    """Vectorise ``function``, which takes one fit, over a batch.

    With a mesh, ``shard_map`` runs it on each device's share, because the compiler cannot partition
    calls of custom kernels.
    """
    mapped = jax.vmap(function)
    if mesh is None:
        return mapped
    split = PartitionSpec(_AXIS)
    return jax.shard_map(mapped, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class BatchArrays:
    """The arrays of B fits; a pytree whose leaves have a leading axis of B.

    Attributes:
      keys: (B,) PRNG keys.
      hyper: dynamic numbers, (B,) each.
      params: starting parameters, or None for random ones.
      transforms: (B, steps, 2, 3) matrices that replace random ones, or None.
      extra: custom term whose bound arrays have the axis, or None.
      data: arrays prepared from the images, or None.
    """

    keys: Array
    hyper: Hyper
    params: Any = None
    transforms: Array | None = None
    extra: Partial | None = None
    data: Any = None


@partial(jax.jit, static_argnames=("config", "mesh", "hooks"))
def begin_fits(
    arrays: BatchArrays,
    images: Array,
    config: Config,
    mesh: Mesh | None,
    hooks: Hooks = NO_HOOKS,
) -> FitState:
    """Make the first state of every fit (:func:`begin`).

    Args:
      arrays: arrays of every fit.
      images: (B, H, W, C), or (H, W, C) for all fits.
      config: static configuration.
      mesh: mesh to shard the fits across, or None.
      hooks: static functions of the caller.
    """

    def begin_fit(one: BatchArrays, image: Array) -> FitState:
        inputs = StepInputs(image[None], one.hyper, extra=one.extra, data=add_axis(one.data))
        return begin(one.keys, inputs, config, one.params, one.transforms, hooks)

    images = jnp.broadcast_to(images, (arrays.keys.shape[0], *images.shape[-3:]))
    return _map_fits(begin_fit, mesh)(arrays, images)


# The state is donated: the new one reuses its memory, so only one copy of a batch's parameters and
# momentum exists.
@partial(jax.jit, static_argnames=("config", "count", "mesh", "hooks"), donate_argnums=0)
def advance_fits(
    state: FitState, config: Config, count: int, mesh: Mesh | None, hooks: Hooks = NO_HOOKS
) -> tuple[FitState, Records]:
    """Run ``count`` steps of every fit (:func:`advance`); ``state`` cannot be used afterwards."""
    return _map_fits(lambda fit: advance(fit, config, count, hooks=hooks), mesh)(state)


@partial(jax.jit, static_argnames=("config", "mesh"))
def compute_batch_logits(state: FitState, config: Config, mesh: Mesh | None) -> Array:
    """Compute the logits of every fit, (B, H, W, K)."""
    return _map_fits(lambda fit: compute_logits(fit, config), mesh)(state)


@partial(jax.jit, static_argnames="mesh")
def gather_fits(state: FitState, places: Array, mesh: Mesh | None) -> FitState:
    """Gather the fits at ``places`` (N,) into a smaller batch, sharded across the mesh."""
    taken = jax.tree.map(lambda a: a[places], state)
    if mesh is None:
        return taken
    return jax.lax.with_sharding_constraint(taken, NamedSharding(mesh, PartitionSpec(_AXIS)))


def batch_bytes(config: Config, shape: tuple[int, int], count: int) -> int:
    """Estimate the memory, in bytes, that ``count`` fits at once need on a device.

    Compiles a program of one step and reads the compiler's memory analysis; computes nothing.

    Args:
      config: configuration of the fits.
      shape: size of the network's input, (H, W).
      count: number of fits.
    """
    static, hyper = static_config(config), hyperparameters(config)

    def begin_some(key: Array) -> FitState:
        every = jax.tree.map(
            lambda v: jnp.full(count, v, get_param_dtype(config.model.dtype)), hyper
        )
        arrays = BatchArrays(jax.random.split(key, count), every, data=data)
        return begin_fits(arrays, images, static, None)

    images = jnp.zeros((count, *shape, 3))
    one = prepare_data(np.zeros((*shape, 3), np.float32), config)
    data = jax.tree.map(lambda leaf: jnp.stack([jnp.asarray(leaf)] * count), one)
    state = jax.eval_shape(begin_some, jax.random.key(0))
    found = advance_fits.lower(state, static, 1, None).compile().memory_analysis()
    # Not every platform has the analysis. 100 float32 feature maps for each fit exceed the peak of
    # every batch in benchmarks/results (at most 38 maps a fit: paper preset, 4 fits on a CPU).
    if found is None:
        return count * shape[0] * shape[1] * config.model.channels * 4 * 100
    # Donated arguments are counted as arguments and as outputs; the alias size corrects that.
    sizes = (found.temp_size_in_bytes, found.argument_size_in_bytes, found.output_size_in_bytes)
    return int(sum(sizes) - found.alias_size_in_bytes)
