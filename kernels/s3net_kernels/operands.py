"""Checked operands of every operator; an implementation takes one of these as its argument.

The public functions check their arguments and store them in these classes. Each is a pytree: its
arrays are leaves (None where absent) and its options static, so that it passes as a whole through
``jax.jit``, ``jax.vjp`` and ``jax.custom_vjp``. The fields are the arguments of the operator's
public function, whose docstring describes them; a field has its own description if the public
function converts the argument.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Self, TypeVar, dataclass_transform

import jax
from jax import Array

__all__ = [
    "OPERANDS",
    "AffineWarp",
    "BatchNorm",
    "BilinearSample",
    "Conv2d",
    "DeformConv2d",
    "DepthwiseConv2d",
    "GatedInception",
    "InceptionDepthwise",
    "Linear",
    "LinearNorm",
    "Operands",
    "SoftmaxLosses",
]

Arrays = tuple[Array, ...]
_C = TypeVar("_C")


def _option(*, default: Any = dataclasses.MISSING, kw_only: bool = True) -> Any:
    """Declare a static option, which is part of the program and not of its inputs."""
    return dataclasses.field(default=default, kw_only=kw_only, metadata={"static": True})


@dataclass_transform(frozen_default=True, field_specifiers=(_option,))
def _register(cls: type[_C]) -> type[_C]:
    return jax.tree_util.register_dataclass(dataclasses.dataclass(frozen=True, eq=False)(cls))


class Operands:
    """Base class of the operands of every operator."""

    def replace(self, **changes: Any) -> Self:
        """Return the same operands with ``changes`` applied."""
        return dataclasses.replace(self, **changes)  # pyright: ignore[reportArgumentType]


@_register
class DepthwiseConv2d(Operands):
    """Operands of ``depthwise_conv2d``."""

    x: Array
    w: Array
    b: Array | None = None
    dilation: int = _option(default=1)
    """Limited to the image's size, beyond which all dilations give the same result."""


@_register
class InceptionDepthwise(Operands):
    """Operands of ``inception_depthwise``."""

    x: Array
    weights: Arrays
    biases: Arrays
    dilations: tuple[int, ...] = _option()

    def branches(self) -> list[DepthwiseConv2d]:
        """Return the operands of every branch's convolution."""
        every = zip(self.weights, self.biases, self.dilations, strict=True)
        return [DepthwiseConv2d(self.x, w, b, dilation=d) for w, b, d in every]


@_register
class DeformConv2d(Operands):
    """Operands of ``deform_conv2d``."""

    x: Array
    offset: Array
    mask: Array
    """Ones in the dtype of ``offset`` if the caller gave none."""
    w: Array
    b: Array | None = None


@_register
class BilinearSample(Operands):
    """Operands of ``bilinear_sample``."""

    x: Array
    coords: Array
    boundary: str = _option(default="zeros")


@_register
class AffineWarp(Operands):
    """Operands of ``affine_warp``."""

    x: Array
    matrix: Array
    """Matrices (N, 2, 3), one for each image."""
    boundary: str = _option(default="zeros")


@_register
class Linear(Operands):
    """Operands of ``linear``."""

    x: Array
    """Input in the dtype of the residual, if that is wider."""
    w: Array
    b: Array | None = None
    residual: Array | None = None
    activation: str | None = _option(default=None)
    precision: str | None = _option(default=None)
    through: bool = _option(default=False)


@_register
class BatchNorm(Operands):
    """Operands of ``batch_norm``."""

    x: Array
    scale: Array
    bias: Array
    epsilon: float = _option(default=1e-5)


@_register
class LinearNorm(Operands):
    """Operands of ``linear_norm``."""

    x: Array
    """Input in the dtype of the residual, if that is wider."""
    w: Array
    b: Array | None
    residual: Array | None
    scale: Array
    bias: Array
    epsilon: float = _option(default=1e-5)
    precision: str | None = _option(default=None)
    through: bool = _option(default=False)

    def layer(self) -> Linear:
        """Return the operands of the linear layer whose result is normalised."""
        return Linear(
            self.x,
            self.w,
            self.b,
            self.residual,
            precision=self.precision,
            through=self.through,
        )

    def norm(self, z: Array) -> BatchNorm:
        """Return the operands of the normalisation of ``z``."""
        return BatchNorm(z, self.scale, self.bias, epsilon=self.epsilon)


@_register
class GatedInception(Operands):
    """Operands of ``gated_inception``."""

    x: Array
    """Input in the dtype of the residual, if that is wider."""
    local_w: Array | Arrays
    """Kernel of the convolution that all branches share, or a tuple with one for each branch."""
    local_b: Array | Arrays
    weights: Arrays
    biases: Arrays
    mix_w: Array
    mix_b: Array
    residual: Array | None = None
    dilations: tuple[int, ...] = _option()
    precision: str | None = _option(default=None)

    def local(self) -> DepthwiseConv2d:
        """Return the operands of the convolution that all branches share."""
        assert not isinstance(self.local_w, tuple) and not isinstance(self.local_b, tuple)
        return DepthwiseConv2d(self.x, self.local_w, self.local_b)

    def locals(self) -> list[DepthwiseConv2d]:
        """Return the operands of each branch's own local convolution; empty if they share one."""
        if not isinstance(self.local_w, tuple):
            return []
        return [
            DepthwiseConv2d(self.x, w, b) for w, b in zip(self.local_w, self.local_b, strict=True)
        ]

    def branches(self, x: Array) -> InceptionDepthwise:
        """Return the operands of the branches' convolutions of ``x``."""
        return InceptionDepthwise(x, self.weights, self.biases, dilations=self.dilations)


@_register
class Conv2d(Operands):
    """Operands of ``conv2d``."""

    x: Array
    w: Array
    b: Array | None = None


@_register
class SoftmaxLosses(Operands):
    """Operands of ``softmax_losses``."""

    logits: Array
    labels: Array | None = None
    """int32 labels; a number that is not a class counts as a class whose logit is 0."""
    weight: Array | None = None
    spatial: bool = _option(default=False)


OPERANDS: Mapping[str, type[Any]] = {
    "depthwise_conv2d": DepthwiseConv2d,
    "inception_depthwise": InceptionDepthwise,
    "deform_conv2d": DeformConv2d,
    "bilinear_sample": BilinearSample,
    "affine_warp": AffineWarp,
    "linear": Linear,
    "batch_norm": BatchNorm,
    "linear_norm": LinearNorm,
    "gated_inception": GatedInception,
    "conv2d": Conv2d,
    "softmax_losses": SoftmaxLosses,
}
"""Operator's name → class of its operands."""
