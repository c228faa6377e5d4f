"""The loss of invariant information clustering: mutual information of two views' clusters.

Ji, Vedaldi and Henriques, "Invariant Information Clustering for Unsupervised Image Classification
and Segmentation", ICCV 2019, equations 3 and 5.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from s3net_kernels import conv2d

__all__ = ["compute_joint", "information_loss"]

_SMALLEST = 2.2e-16
"""Lower bound of probabilities before their logarithm, as published (float64's epsilon)."""


def information_loss(
    first: Array,
    second: Array,
    displacement: int,
    weight: float | Array = 1.0,
    *,
    valid: Array | None = None,
    collapsed: bool = False,
    implementation: str | None = None,
) -> Array:
    """Compute the negative mutual information of two cluster maps, averaged over displacements.

    For each displacement t in [−T, T]² the counts of :func:`compute_joint` are divided by their
    sum, symmetrised and bounded below, which gives P_t with row sums p_t. The loss is

    L = (1/(2T+1)²) Σ_t Σ_kl −P_t(k,l) · [log P_t(k,l) − λ log p_t(k) − λ log p_t(l)]

    At λ = 1 a bracket is the mutual information, which is largest where both maps agree and all
    clusters are equally frequent. λ > 1 favours equal frequencies more.

    Args:
      first: probabilities Φ of the first view, (N, H, W, K).
      second: probabilities Φ' of the second view, in the first one's coordinates, (N, H, W, K).
      displacement: largest displacement T in pixels, at least 0.
      weight: λ, the weight of the marginal entropies.
      valid: (N, H, W) bool, pixels that both views show; None for all.
      collapsed: whether to sum the counts over displacements first, and compute one P.
      implementation: implementation of ``s3net_kernels.conv2d``; None selects the best one.

    Returns:
      Loss (), at least −log K at λ = 1; in the dtype of ``first`` but at least float32.
      Symmetric in the two views.

    Raises:
      ValueError: the shapes do not match, or the displacement is below 0.
    """
    counts = compute_joint(first, second, displacement, valid, implementation)
    if collapsed:
        counts = jnp.sum(counts, 0, keepdims=True)
    # Without a single valid pixel all counts are zero; dividing by them would give NaN.
    total = jnp.sum(counts, (1, 2), keepdims=True)
    joint = counts / jnp.maximum(total, jnp.finfo(counts.dtype).tiny)
    joint = jnp.maximum((joint + joint.swapaxes(1, 2)) / 2, _SMALLEST)
    marginal = jnp.log(jnp.sum(joint, 2))  # of rows; equal to that of columns by symmetry
    expected = weight * (marginal[:, :, None] + marginal[:, None, :])
    return jnp.mean(jnp.sum(-joint * (jnp.log(joint) - expected), (1, 2)))


def compute_joint(
    first: Array,
    second: Array,
    displacement: int,
    valid: Array | None = None,
    implementation: str | None = None,
) -> Array:
    """Count how often pairs of clusters occur at each displacement between two maps.

    C_t(k,l) = Σ_n Σ_u Φ_nuk · Φ'_n(u+t)l over all u for which u and u + t are valid pixels of the
    image.

    Args:
      first: probabilities Φ, (N, H, W, K).
      second: probabilities Φ', (N, H, W, L).
      displacement: largest displacement T in pixels, at least 0.
      valid: (N, H, W) bool, pixels to count; None for all.
      implementation: implementation of ``s3net_kernels.conv2d``; None selects the best one.

    Returns:
      Counts ((2T+1)², K, L), displacements in the order of rows; in the dtype of ``first`` but at
      least float32.

    Raises:
      ValueError: the shapes do not match, or the displacement is below 0.
    """
    if first.ndim != 4 or first.shape[:3] != second.shape[:3]:
        raise ValueError(
            "The two maps of a pair must have the shapes (N, H, W, K) and (N, H, W, L), got "
            f"{first.shape} and {second.shape}."
        )
    if displacement < 0:
        raise ValueError(f"displacement must be at least 0, got {displacement}.")
    kind = jnp.promote_types(first.dtype, jnp.float32)
    first, second = first.astype(kind), second.astype(kind)
    if valid is not None:
        first = jnp.where(valid[..., None], first, 0)
        second = jnp.where(valid[..., None], second, 0)
    (_, height, _, clusters), others = first.shape, second.shape[-1]
    side = 2 * displacement + 1
    around = ((0, 0), (displacement, displacement), (0, 0), (0, 0))
    padded = jnp.pad(second, around)

    # One row of displacements at a time: where convolutions gather patches in memory, all
    # (2T + 1)² at once would take gigabytes for T = 10. The backward pass shifts again instead of
    # keeping the shifted maps.
    @jax.checkpoint
    def count_row(first: Array, padded: Array, down: Array) -> Array:
        rows = jax.lax.dynamic_slice_in_dim(padded, down, height, axis=1)
        return _correlate_rows(first, rows, side, implementation)

    # Logarithms of small probabilities follow, so the products keep full precision even where the
    # network's are rounded.
    with jax.default_matmul_precision("highest"):
        counts = jax.lax.map(lambda down: count_row(first, padded, down), jnp.arange(side))
    return counts.reshape(-1, others, clusters).swapaxes(1, 2)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _correlate_rows(first: Array, second: Array, side: int, implementation: str | None) -> Array:
    """Correlate maps along x: (side, L, K) sums of second(x + t) · first(x), zero outside.

    This is the gradient of a convolution of ``second`` by its kernel, for which ``s3net_kernels``
    has fast kernels on every platform (five times as fast as one matrix product with shifted
    copies in plain JAX, with 15 clusters on two cores). Its own gradients are convolutions; JAX
    would derive them from the plain-JAX convolution, more slowly.
    """
    kernel = jnp.zeros((1, side, second.shape[-1], first.shape[-1]), second.dtype)

    def convolve(kernel: Array) -> Array:
        return conv2d(second, kernel, implementation=implementation)

    return jax.vjp(convolve, kernel)[1](first)[0][0]


def _correlate_forward(first: Array, second: Array, side: int, implementation: str | None):
    return _correlate_rows(first, second, side, implementation), (first, second)


def _correlate_backward(
    _side: int, implementation: str | None, maps: tuple[Array, Array], change: Array
):
    first, second = maps
    with jax.default_matmul_precision("highest"):
        by_first = conv2d(second, change[None], implementation=implementation)
        turned = change[None, ::-1].swapaxes(2, 3)
        by_second = conv2d(first, turned, implementation=implementation)
    return by_first, by_second


_correlate_rows.defvjp(_correlate_forward, _correlate_backward)
