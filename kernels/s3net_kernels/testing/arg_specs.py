"""Describe calls, for both tests and benchmarks.

Each operator's ``arg_specs.py`` has ``SPECS``, small and awkward shapes for the tests,
``BENCHMARKS``, the shapes of the network, and ``spec``, which describes a call of other shapes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s3net_kernels.operands import OPERANDS

__all__ = ["Arg", "ArgSpec"]


@dataclasses.dataclass(frozen=True)
class Arg:
    """One array of a call: its shape and the distribution of its values."""

    shape: tuple[int, ...]
    draw: str = "normal"
    """Distribution. ``normal``: N(0, 1); ``mask``: U[0, 1); ``offset``: up to 3 pixels either way;
    ``near``: from 0 to 1, except one pixel of each image as ``offset``; ``coords``: from 2 pixels
    outside the image to 2 beyond; ``matrix``: a shear, rotation and shift. Offsets and coordinates
    are odd multiples of 1/128: exact in float32, and never on the kinks of interpolation, where
    the last digit would decide which derivative applies."""
    reduced: int = 1
    """Number of terms that the gradient by this array sums."""
    limits: tuple[int, int] = (0, 0)
    """(H, W) of the image that ``coords`` point into."""

    def make(self, random: np.random.Generator) -> np.ndarray:
        """Draw float64 values."""
        if self.draw == "mask":
            return random.uniform(0, 1, self.shape)
        if self.draw in ("offset", "near"):
            offset = (random.integers(-192, 192, self.shape) * 2 + 1) / 128
            if self.draw == "near":
                middle = (slice(None), self.shape[1] // 2, self.shape[2] // 2)
                far = offset[middle]
                offset = (random.integers(0, 64, self.shape) * 2 + 1) / 128
                offset[middle] = far
            return offset
        if self.draw == "coords":
            high = (np.array(self.limits) + 2) * 64
            return (random.integers(-128, high, self.shape) * 2 + 1) / 128
        if self.draw == "matrix":
            start = np.broadcast_to(np.eye(2, 3), self.shape)
            return start + random.normal(0, 1, self.shape) * [0.3, 0.3, 2.0]
        return random.normal(0, 1, self.shape)


@dataclasses.dataclass(frozen=True)
class ArgSpec:
    """One call of an operator."""

    operator: str
    name: str
    args: tuple[Any, ...]
    """:class:`Arg`, None, or a tuple of :class:`Arg`, in the operator's order; x first."""
    options: dict[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    reduced: int = 1
    """Number of terms that one output value sums."""
    dtype: str = "float32"
    """Dtype of x; all other arrays are float32, or float64 if x is."""
    parameters: tuple[int, ...] = ()
    """Positions of the arguments that are parameters, which images may share."""

    def __str__(self) -> str:
        return self.name

    def _choose_dtypes(self, dtype: Any) -> tuple[jnp.dtype, jnp.dtype]:
        first = jnp.dtype(dtype or self.dtype)
        return first, jnp.dtype("float64" if first == jnp.float64 else "float32")

    def make(self, seed: int = 0, dtype: Any = None) -> tuple[Any, ...]:
        """Draw NumPy arguments of the call.

        Args:
          seed: seed of the values.
          dtype: dtype of x instead of the spec's own; float64 applies to all arrays.
        """
        random = np.random.default_rng([seed, *self.name.encode()])
        first, rest = self._choose_dtypes(dtype)
        x, *others = jax.tree.map(lambda arg: arg.make(random), self.args)
        return (x.astype(first), *jax.tree.map(lambda a: a.astype(rest), others))

    def make_shapes(self, dtype: Any = None) -> tuple[Any, ...]:
        """Return shapes and dtypes of the arguments, for lowering and ``explain``."""
        first, rest = self._choose_dtypes(dtype)
        x, *others = self.args
        shaped = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, rest), others)
        return (jax.ShapeDtypeStruct(x.shape, first), *shaped)

    def bind(self, args: Sequence[Any]) -> Any:
        """Put ``args`` from :meth:`make` or :meth:`make_shapes` into the operator's operands.

        An implementation takes these directly; the public function's checks are skipped.
        """
        return OPERANDS[self.operator](*args, **self.options)

    @property
    def gradient_terms(self) -> tuple[int, ...]:
        """Number of terms that the gradient by each array sums, in the order of the leaves."""
        return tuple(max(arg.reduced, self.reduced) for arg in jax.tree.leaves(self.args))

    @property
    def pixels(self) -> int:
        """N·H·W of x."""
        return math.prod(self.args[0].shape[:3])
