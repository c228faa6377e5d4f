"""Inception large-kernel attention and its surrounding block (section 3.1, equations 1 to 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from s3net_jax.checks import check_choice, check_size, check_sizes
from s3net_jax.nn.layers import BatchNorm, DepthwiseConv, Pointwise
from s3net_jax.nn.options import check_common, check_rngs
from s3net_kernels import gated_inception

__all__ = ["AttentionBlock", "InceptionLKA"]

_Residual = Literal["after_projection", "before_projection"]


class InceptionLKA(nnx.Module):
    """Apply I-LKA: x ⊗ Conv1×1(concat_r DW_r(DW_local(x))), without sigmoid or softmax.

    One local depthwise convolution feeds parallel dilated depthwise branches (released code), or
    each branch r has its own local convolution, DW_r(DW_local_r(x)) (equations 1 and 2 of the
    paper). A 1×1 convolution maps the concatenated branches back to C channels, and the input is
    multiplied by the result. ``kernel_sizes=(7,), dilations=(3,)`` gives VAN's LKA with K = 21 and
    d = 3.

    Args:
      channels: number of channels C; input and output are (N, H, W, C).
      local_kernel: odd size of the local convolution that all branches share, or a sequence with
        the size of each branch's own one.
      kernel_sizes: odd size of each branch.
      dilations: dilation of each branch.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.

    Raises:
      ValueError: ``kernel_sizes``, ``dilations`` and a sequence of local sizes differ in length.
    """

    def __init__(
        self,
        channels: int,
        *,
        local_kernel: int | Sequence[int] = 5,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        dilations: Sequence[int] = (1, 2, 3),
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels = check_size("channels", channels)
        kernel_sizes = check_sizes("kernel_sizes", kernel_sizes, odd=True)
        dilations = check_sizes("dilations", dilations)
        if len(kernel_sizes) != len(dilations):
            raise ValueError(
                f"kernel_sizes has {len(kernel_sizes)} entries and dilations {len(dilations)}: "
                "each branch needs one of both."
            )
        local = _check_local(local_kernel, len(kernel_sizes))
        self.dtype = jnp.dtype(dtype)
        self.implementation = implementation
        common = {"dtype": dtype, "implementation": implementation, "rngs": rngs}
        if isinstance(local, int):
            layers = DepthwiseConv(channels, local, **common)
        else:
            layers = nnx.List(DepthwiseConv(channels, k, **common) for k in local)
        self.local = layers  # NNX fixes an attribute's kind at its first assignment
        self.branches = nnx.List(
            DepthwiseConv(channels, k, dilation=d, **common)
            for k, d in zip(kernel_sizes, dilations, strict=True)
        )
        self.mix = Pointwise(len(kernel_sizes) * channels, channels, **common)

    def __call__(self, x: Array, residual: Array | None = None) -> Array:
        """Apply I-LKA to x (N, H, W, C) and add ``residual``, of the same shape, if given."""
        assert self.mix.bias is not None
        if isinstance(self.local, DepthwiseConv):
            local = self.local.kernel[...], self.local.bias[...]
        else:
            local = [b.kernel[...] for b in self.local], [b.bias[...] for b in self.local]
        return gated_inception(
            x.astype(self.dtype),
            *local,
            tuple(b.kernel[...] for b in self.branches),
            tuple(b.bias[...] for b in self.branches),
            self.mix.kernel[...],
            self.mix.bias[...],
            residual,
            dilations=tuple(b.dilation for b in self.branches),
            implementation=self.implementation,
        )


def _check_local(sizes: Any, branches: int) -> int | tuple[int, ...]:
    """Return the size of the shared local convolution, or a tuple with one for each branch."""
    if isinstance(sizes, str | bytes) or not np.iterable(sizes):
        return check_size("local_kernel", sizes, odd=True)
    return check_sizes("local_kernel", sizes, odd=True, count=branches)


class AttentionBlock(nnx.Module):
    """Apply 1×1 projection → GELU → I-LKA → 1×1 projection with a residual connection.

    Args:
      channels: number of channels C; input and output are (N, H, W, C).
      residual: position of the skip connection. ``"after_projection"`` computes proj(u) + x, as
        the released code does; ``"before_projection"`` computes proj(u + x), a skip followed by a
        1×1 convolution, as the paper describes.
      local_kernel: odd size of the shared local convolution in :class:`InceptionLKA`, or a sequence
        with one for each branch.
      kernel_sizes: odd size of each branch.
      dilations: dilation of each branch.
      dtype: dtype of the activations; parameters are float32, or float64 if dtype is float64.
      implementation: operator implementation; None selects the best available one.
      rngs: NNX random streams.
    """

    def __init__(
        self,
        channels: int,
        *,
        residual: _Residual = "after_projection",
        local_kernel: int | Sequence[int] = 5,
        kernel_sizes: Sequence[int] = (3, 5, 7),
        dilations: Sequence[int] = (1, 2, 3),
        dtype="float32",
        implementation: str | None = None,
        rngs: nnx.Rngs,
    ):
        check_common(dtype, implementation)
        check_rngs(rngs)
        channels = check_size("channels", channels)
        self.dtype = jnp.dtype(dtype)
        self.residual = check_choice("residual", residual, get_args(_Residual))
        common = {"dtype": dtype, "implementation": implementation, "rngs": rngs}
        self.project_in = Pointwise(channels, channels, activation="gelu", **common)
        self.attention = InceptionLKA(
            channels,
            local_kernel=local_kernel,
            kernel_sizes=kernel_sizes,
            dilations=dilations,
            **common,
        )
        self.project_out = Pointwise(channels, channels, **common)

    def __call__(self, x: Array, norm: BatchNorm | None = None) -> Array:
        """Apply the block to x (N, H, W, C), then ``norm`` if given."""
        x = x.astype(self.dtype)
        u, x = self.project_in.through(x)
        before = self.residual == "before_projection"
        u = self.attention(u, residual=x if before else None)
        added = None if before else x
        if norm is None:
            return self.project_out(u, residual=added)
        return self.project_out.normalised(norm, u, residual=added)
