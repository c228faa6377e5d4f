"""The random numbers that parameters start from: many draws, few kernels."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

__all__ = ["build_from_pool", "draw_fan_in_uniform", "draw_uniform", "is_draws"]

T = TypeVar("T")
_THREEFRY = "threefry2x32"  # the kind of keys that JAX makes
_RATIO = 16  # draws share a kernel if their sizes lie between two powers of it


def draw_uniform(
    rngs: nnx.Rngs | _Draws, shape: tuple[int, ...], low: float = 0, high: float = 1
) -> Array:
    """U[low, high) of the given shape, float32, from the stream ``params``."""
    if isinstance(rngs, _Draws):
        # The very arithmetic of jax.random.uniform.
        bounds = jnp.float32(low), jnp.float32(high)
        return jnp.maximum(bounds[0], rngs.take(shape) * (bounds[1] - bounds[0]) + bounds[0])
    return jax.random.uniform(rngs.params(), shape, jnp.float32, low, high)


def draw_fan_in_uniform(rngs: nnx.Rngs, shape: tuple[int, ...], fan_in: int, dtype) -> Array:
    """U(−1/√fan_in, 1/√fan_in): PyTorch's default for kernels and biases of convolutions."""
    bound = fan_in**-0.5
    # Drawn in float32 whatever the dtype, so that a seed means the same network in each.
    return draw_uniform(rngs, shape, -bound, bound).astype(dtype)


def build_from_pool(build: Callable[[nnx.Rngs], T], key: Array) -> T:
    """``build(nnx.Rngs(params=key))``, the same numbers, compiled many times faster.

    XLA compiles every draw anew, and a network's thirty took most of the time that a first fit
    took to compile. Here draws of similar size are one: the first numbers of a longer draw are
    those of a shorter one.
    ``build`` is traced once more, for the sizes, and must draw by this module alone.

    Args:
      build: makes modules.
      key: a PRNG key.
    """
    partitionable = jax.config.jax_threefry_partitionable  # pyright: ignore
    if not partitionable or jax.random.key_impl(key) != _THREEFRY:
        return build(nnx.Rngs(params=key))  # there longer draws do not begin like shorter ones
    sizes = _Sizes()

    def measure() -> None:
        build(cast(nnx.Rngs, sizes))

    jax.eval_shape(measure)
    return build(cast(nnx.Rngs, _Pool(key, sizes.found)))


class _Draws:
    """In place of ``nnx.Rngs``: gives numbers instead of keys."""

    def take(self, shape: tuple[int, ...]) -> Array:
        """The next draw: U[0, 1), float32."""
        raise NotImplementedError


def is_draws(rngs: object) -> bool:
    """Whether ``rngs`` is what :func:`build_from_pool` gives in place of ``nnx.Rngs``."""
    return isinstance(rngs, _Draws)


class _Sizes(_Draws):
    """Only notes how many numbers are wanted."""

    def __init__(self) -> None:
        self.found: list[int] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        self.found.append(math.prod(shape))
        return jnp.zeros(shape, jnp.float32)


class _Pool(_Draws):
    def __init__(self, key: Array, sizes: Sequence[int]) -> None:
        # As nnx.RngStream derives them.
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
