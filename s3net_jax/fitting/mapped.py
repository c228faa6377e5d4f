"""The pieces of a fit (:mod:`.loop`) over a batch, on one device or shared out over several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jax.tree_util import Partial

from s3net_jax.config import Config
from s3net_jax.fitting.hyper import Hyper, hyperparameters, static_config
from s3net_jax.fitting.loop import FitState, Records, advance, begin, logits_of
from s3net_jax.nn.layers import param_dtype

__all__ = ["advance_all", "batch_bytes", "begin_all", "gather", "logits_of_all", "mesh_of"]

_AXIS = "fits"


def mesh_of(devices: Sequence[Any] | None) -> Mesh | None:
    """The mesh that a batch is shared out over; None leaves it on the default device."""
    return None if devices is None else Mesh(np.array(devices), (_AXIS,))


def _over(function: Callable[..., Any], mesh: Mesh | None, shared: tuple[bool, ...]) -> Any:
    """``function`` of one fit, for a batch. With a mesh every device does its share alone: the
    kernels' calls can't be partitioned by the compiler."""
    mapped = jax.vmap(function, in_axes=tuple(None if s else 0 for s in shared))
    if mesh is None:
        return mapped
    split = PartitionSpec(_AXIS)
    return jax.shard_map(
        mapped,
        mesh=mesh,
        in_specs=tuple(PartitionSpec() if s else split for s in shared),
        out_specs=split,
        check_vma=False,
    )


@partial(jax.jit, static_argnames=("config", "own", "mesh"))
def begin_all(
    keys: Array,
    images: Array,
    hyper: Hyper,
    config: Config,
    own: bool,
    mesh: Mesh | None,
    extra: Partial | None = None,
) -> FitState:
    """:func:`begin` of every fit; ``own``: each has an image of its own."""

    def one(key, image, numbers, extra):
        return begin(key, image, numbers, config, extra=extra)

    return _over(one, mesh, (False, not own, False, False))(keys, images, hyper, extra)


# The old state's memory is the new one's.
@partial(jax.jit, static_argnames=("config", "count", "mesh"), donate_argnums=0)
def advance_all(
    state: FitState, config: Config, count: int, mesh: Mesh | None
) -> tuple[FitState, Records]:
    """:func:`advance` of every fit by ``count`` steps."""
    return _over(lambda s: advance(s, config, count), mesh, (False,))(state)


@partial(jax.jit, static_argnames=("config", "mesh"))
def logits_of_all(state: FitState, config: Config, mesh: Mesh | None) -> Array:
    """:func:`logits_of` of every fit: (B, H, W, K)."""
    return _over(lambda s: logits_of(s, config), mesh, (False,))(state)


@partial(jax.jit, static_argnames="mesh")
def gather(state: FitState, places: Array, mesh: Mesh | None) -> FitState:
    """The fits at ``places`` (N,), shared out anew."""
    taken = jax.tree.map(lambda a: a[places], state)
    if mesh is None:
        return taken
    return jax.lax.with_sharding_constraint(taken, NamedSharding(mesh, PartitionSpec(_AXIS)))


def batch_bytes(config: Config, shape: tuple[int, int], count: int) -> int:
    """What ``count`` fits of (H, W) images need at once on a device, as its compiler tells.

    Compiles one step; nothing is computed.
    """
    static, hyper = static_config(config), hyperparameters(config)

    def some(key: Array) -> FitState:
        every = jax.tree.map(lambda v: jnp.full(count, v, param_dtype(config.model.dtype)), hyper)
        return begin_all(jax.random.split(key, count), image, every, static, True, None)

    image = jnp.zeros((count, *shape, 3))
    state = jax.eval_shape(some, jax.random.key(0))
    found = advance_all.lower(state, static, 1, None).compile().memory_analysis()
    if found is None:  # a platform that does not tell: about a hundred maps of features
        return count * shape[0] * shape[1] * config.model.channels * 4 * 100
    sizes = (found.temp_size_in_bytes, found.argument_size_in_bytes, found.output_size_in_bytes)
    return int(sum(sizes) - found.alias_size_in_bytes)
