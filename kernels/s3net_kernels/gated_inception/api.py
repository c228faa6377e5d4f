"""Define the public function of the gated inception."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, require_pixels, require_rank, to_float, to_positive_int
from s3net_kernels._dispatch import dispatch
from s3net_kernels.depthwise_conv2d.api import check_branch, limit_dilation
from s3net_kernels.linear.api import check_precision, widen
from s3net_kernels.operands import GatedInception

__all__ = ["gated_inception"]


def gated_inception(
    x: ArrayLike,
    local_w: ArrayLike | Sequence[ArrayLike],
    local_b: ArrayLike | Sequence[ArrayLike],
    weights: Sequence[ArrayLike],
    biases: Sequence[ArrayLike],
    mix_w: ArrayLike,
    mix_b: ArrayLike,
    residual: ArrayLike | None = None,
    *,
    dilations: Sequence[int],
    precision: str | None = None,
    implementation: str | None = None,
) -> Array:
    """Apply inception large-kernel attention as one operator.

    y = x ⊙ (concat_r(DW_r(DW_local(x))) · mix_w + mix_b) + residual, where DW are depthwise
    convolutions as in ``depthwise_conv2d``. If ``local_w`` and ``local_b`` are lists or tuples,
    each branch r has its own local convolution: DW_r(DW_local_r(x)).

    Args:
      x: floating point images (N, H, W, C).
      local_w: floating point kernel (kh, kw, C), odd sides, of the convolution before the branches,
        or a list or tuple of kernels, one for each branch.
      local_b: floating point bias (C,) of that convolution, or a list or tuple of biases.
      weights: floating point kernel (kh_r, kw_r, C) with odd sides for each branch r.
      biases: floating point bias (C,) for each branch.
      mix_w: floating point weights (R·C, C) of the 1×1 convolution of the R branches, in order.
      mix_b: floating point bias (C,) of the 1×1 convolution.
      residual: floating point images (N, H, W, C) to add, or None.
      dilations: dilation of each branch, at least 1.
      precision: precision of the 1×1 convolution; see ``linear``.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Result (N, H, W, C) in the dtype of ``x``, computed in the widest dtype of the arguments, at
      least float32.

    Raises:
      ValueError: shapes that do not match, no branch, or lists of different lengths.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "gated_inception"
    x = to_float(name, "x", x)
    require_rank(name, "x", x, "N, H, W, C")
    require_pixels(name, x)
    require(
        len(weights) == len(biases) == len(dilations) >= 1,
        f"{name}: got {len(weights)} weights, {len(biases)} biases and {len(dilations)} "
        "dilations, but each branch needs one of each, and at least one branch is required.",
    )
    channels = x.shape[3]
    kernel, shift = _check_locals(x, local_w, local_b, len(weights))
    branches = [to_float(name, f"w[{r}]", w) for r, w in enumerate(weights)]
    shifts = [
        check_branch(name, x, w, to_float(name, f"b[{r}]", b), f"[{r}]")
        for r, (w, b) in enumerate(zip(branches, biases, strict=True))
    ]
    dilations = tuple(
        limit_dilation(x, to_positive_int(name, f"dilation[{r}]", d))
        for r, d in enumerate(dilations)
    )
    mixer, offset = to_float(name, "mix_w", mix_w), to_float(name, "mix_b", mix_b)
    for label, array, shape in (
        ("mix_w", mixer, (len(branches) * channels, channels)),
        ("mix_b", offset, (channels,)),
    ):
        require(
            array.shape == shape,
            f"{name}: {label} has shape {array.shape}, expected {shape} for {len(branches)} "
            f"branches of {channels} channels.",
        )
    if residual is not None:
        residual = to_float(name, "residual", residual)
        require(
            residual.shape == x.shape,
            f"{name}: residual has shape {residual.shape}, expected that of x, {x.shape}.",
        )
    check_precision(name, precision)
    operands = GatedInception(
        widen(x, residual),
        kernel,
        shift,
        tuple(branches),
        tuple(shifts),
        mixer,
        offset,
        residual,
        dilations=dilations,
        precision=precision,
    )
    return dispatch(name, implementation, operands).astype(x.dtype)


def _check_locals(
    x: Array, local_w: Any, local_b: Any, branches: int
) -> tuple[Array, Array] | tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Convert and check the local convolution, or one for each of ``branches`` branches."""
    name, kinds = "gated_inception", (list, tuple)
    if not isinstance(local_w, kinds) and not isinstance(local_b, kinds):
        kernel, bias = to_float(name, "local_w", local_w), to_float(name, "local_b", local_b)
        check_branch(name, x, kernel, bias, " (local)")
        return kernel, bias
    for label, given in (("local_w", local_w), ("local_b", local_b)):
        require(
            isinstance(given, kinds),
            f"{name}: {label} is one array, but the other of local_w and local_b is a list: give "
            "a kernel and a bias for each branch, or one of both for all branches.",
        )
        require(
            len(given) == branches,
            f"{name}: {label} has {len(given)} entries, but there are {branches} branches: give "
            "one for each, or a single array for all branches.",
        )
    kernels = tuple(to_float(name, f"local_w[{r}]", w) for r, w in enumerate(local_w))
    shifts = tuple(to_float(name, f"local_b[{r}]", b) for r, b in enumerate(local_b))
    for r, (kernel, bias) in enumerate(zip(kernels, shifts, strict=True)):
        check_branch(name, x, kernel, bias, f" (local[{r}])")
    return kernels, shifts
