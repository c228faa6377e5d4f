"""Define the public function of the linear layer."""

from __future__ import annotations

from typing import Literal, overload

import jax
from jax import Array
from jax.typing import ArrayLike

from s3net_kernels._check import require, require_choice, to_flag, to_float
from s3net_kernels._dispatch import dispatch
from s3net_kernels.operands import Linear

__all__ = ["check_precision", "linear", "widen"]


@overload
def linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    residual: ArrayLike | None = None,
    *,
    activation: str | None = None,
    precision: str | None = None,
    through: Literal[False] = False,
    implementation: str | None = None,
) -> Array: ...
@overload
def linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    residual: ArrayLike | None = None,
    *,
    activation: str | None = None,
    precision: str | None = None,
    through: Literal[True],
    implementation: str | None = None,
) -> tuple[Array, Array]: ...
def linear(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    residual: ArrayLike | None = None,
    *,
    activation: str | None = None,
    precision: str | None = None,
    through: bool = False,
    implementation: str | None = None,
) -> Array | tuple[Array, Array]:
    """Multiply the last axis by a matrix with a fused epilogue: a fused 1×1 convolution.

    y[..., o] = f(Σ_k x[..., k] · w[k, o] + b[o]) + residual[..., o]

    Args:
      x: floating point array (..., K).
      w: floating point matrix (K, O). Under ``vmap``, shared or one per image.
      b: floating point bias (O,), or None.
      residual: floating point array (..., O) to add, or None.
      activation: function f: None for none, or ``"gelu"`` for z · Φ(z) with the exact Φ.
      precision: precision of float32 products: None for float32; ``"bfloat16"`` rounds both
        factors to bfloat16 (``native`` only where the hardware multiplies those faster, and
        float32 elsewhere). Sums are float32 either way.
      through: whether to return x too, for another reader such as a skip connection. The kernel
        then adds that reader's gradient to dx, which avoids a separate pass.
      implementation: name of an implementation; None selects the best one.

    Returns:
      Result (..., O) in the dtype of ``x``, computed in the widest dtype of the arguments, at
      least float32. With ``through``, a pair of the result and ``x``.

    Raises:
      ValueError: shapes that do not match, or an unknown activation or precision.
      TypeError: an argument that is not floating point.
      UnsupportedError: the named implementation cannot serve the call.
    """
    name = "linear"
    x, w = to_float(name, "x", x), to_float(name, "w", w)
    require(x.ndim >= 1, f"{name}: x is a number, but must be (..., K).")
    require(
        w.ndim == 2 and w.shape[0] == x.shape[-1],
        f"{name}: w has shape {w.shape}, expected ({x.shape[-1]}, O) for x of shape {x.shape}.",
    )
    outputs = w.shape[1]
    if b is not None:
        b = to_float(name, "b", b)
        require(
            b.shape == (outputs,),
            f"{name}: b has shape {b.shape}, expected ({outputs},): one number per output.",
        )
    if residual is not None:
        residual = to_float(name, "residual", residual)
        require(
            residual.shape == (*x.shape[:-1], outputs),
            f"{name}: residual has shape {residual.shape}, expected that of the result, "
            f"{(*x.shape[:-1], outputs)}.",
        )
    require_choice(name, "activation", activation, (None, "gelu"))
    check_precision(name, precision)
    through = to_flag(name, "through", through)
    options = {"activation": activation, "precision": precision, "through": through}
    found = dispatch(name, implementation, Linear(widen(x, residual), w, b, residual, **options))
    return jax.tree.map(lambda a: a.astype(x.dtype), found)


def widen(x: Array, residual: Array | None) -> Array:
    """Convert ``x`` to the dtype of a wider residual, because kernels add in the dtype of x."""
    if residual is None or residual.dtype.itemsize <= x.dtype.itemsize:
        return x
    return x.astype(residual.dtype)


def check_precision(operator: str, precision: str | None) -> None:
    """Raise ValueError unless ``precision`` is None or ``"bfloat16"``."""
    require_choice(operator, "precision", precision, (None, "bfloat16"))
