"""Draw initial parameters with a few large random kernels instead of many small ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

__all__ = [
    "build_from_pool",
    "draw_fan_in_uniform",
    "draw_kaiming_normal",
    "draw_normal",
    "draw_uniform",
    "is_draws",
]

T = TypeVar("T")
_THREEFRY = "threefry2x32"  # JAX's default PRNG implementation
# Draws share a kernel if their sizes are between the same two powers of this ratio: the longest
# draw of a group is then at most 16 times what its shortest draw needs.
_RATIO = 16


def draw_uniform(
    rngs: nnx.Rngs | _Draws, shape: tuple[int, ...], low: float = 0, high: float = 1
) -> Array:
    """Draw U[low, high) of the given shape in float32 from the stream ``params``."""
    if isinstance(rngs, _Draws):
        # Repeat the arithmetic of jax.random.uniform exactly, so that both paths agree bit by bit.
        bounds = jnp.float32(low), jnp.float32(high)
        return jnp.maximum(bounds[0], rngs.take(shape) * (bounds[1] - bounds[0]) + bounds[0])
    return jax.random.uniform(rngs.params(), shape, jnp.float32, low, high)


def draw_fan_in_uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype) -> Array:
    """Draw U(−1/√fan_in, 1/√fan_in), PyTorch's default for convolution kernels and biases."""
    bound = fan_in**-0.5
    # Draw in float32 for every dtype, so that a seed gives the same network in each.
    return draw_uniform(rngs, shape, -bound, bound).astype(dtype)


def draw_normal(rngs: nnx.Rngs | _Draws, shape: tuple[int, ...], deviation: float = 1) -> Array:
    """Draw N(0, deviation²) of the given shape in float32 from the stream ``params``.

    Inverts the distribution function, √2·erf⁻¹(u) with u uniform in (−1, 1), as
    ``jax.random.normal`` does and with the same numbers, so pooled uniform draws serve here too.
    """
    above = float(np.nextafter(np.float32(-1), np.float32(0)))  # erf⁻¹(−1) is infinite
    uniform = draw_uniform(rngs, shape, above, 1)
    return deviation * (np.float32(math.sqrt(2)) * jax.lax.erf_inv(uniform))


def draw_kaiming_normal(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype) -> Array:
    """Draw N(0, 2/fan_in), which keeps the variance of activations between layers with ReLU.

    He et al., "Delving Deep into Rectifiers", ICCV 2015; PyTorch's ``kaiming_normal_``.
    """
    return draw_normal(rngs, shape, math.sqrt(2 / fan_in)).astype(dtype)


def build_from_pool(build: Callable[[nnx.Rngs], T], key: Array) -> T:
    """Return ``build(nnx.Rngs(params=key))``, with the same numbers but much faster compilation.

    XLA compiles every draw separately, and a network's thirty draws dominated the compile time
    of a first fit. Here draws of similar size share one kernel, because a longer draw starts with
    the numbers of a shorter one. ``build`` is traced twice, first to record the sizes, and must
    draw only through this module.

    Args:
      build: function that makes modules from random streams.
      key: a PRNG key.

    Returns:
      The result of ``build``.
    """
    partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore
    if not partitionable or jax.random.key_impl(key) != _THREEFRY:
        return build(nnx.Rngs(params=key))  # long draws do not start like shorter ones there
    sizes = _Sizes()

    def measure() -> None:
        build(cast(nnx.Rngs, sizes))

    jax.eval_shape(measure)
    return build(cast(nnx.Rngs, _Pool(key, sizes.found)))


class _Draws:
    """A replacement for ``nnx.Rngs`` that returns numbers instead of keys."""

    def take(self, shape: tuple[int, ...]) -> Array:
        """Return the next draw: U[0, 1), float32."""
        raise NotImplementedError


def is_draws(rngs: object) -> bool:
    """Return whether ``rngs`` is the replacement that :func:`build_from_pool` passes."""
    return isinstance(rngs, _Draws)


class _Sizes(_Draws):
    """Record how many numbers each draw needs."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        self.found.append(math.prod(shape))
        return jnp.zeros(shape, jnp.float32)


class _Pool(_Draws):
    def __init__(self, key: Array, sizes: Sequence[int]) -> None:
        # Derive the keys as nnx.RngStream does.
        keys = jax.vmap(jax.random.fold_in, (None, 0))(key, np.arange(len(sizes), dtype=np.uint32))
        groups: dict[int, list[int]] = {}
        for place, size in enumerate(sizes):
            groups.setdefault(math.ceil(math.log(max(size, 1), _RATIO)), []).append(place)
        self.rows: dict[int, Array] = {}
        for places in groups.values():
            longest = max(sizes[place] for place in places)
            draw = jax.vmap(lambda key, n=longest: jax.random.uniform(key, (n,), jnp.float32))
            self.rows |= dict(zip(places, draw(keys[np.array(places)]), strict=True))
        self.place = 0

    def take(self, shape: tuple[int, ...]) -> Array:
        row = self.rows[self.place]
        self.place += 1
        return row[: math.prod(shape)].reshape(shape)
