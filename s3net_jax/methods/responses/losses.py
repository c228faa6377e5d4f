"""The terms that SGSCN and DFC add to the cross entropy, as pure functions of the responses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

__all__ = ["compute_center_term", "compute_continuity"]

_EPSILON = 1e-3  # added to every response by the released SGSCN code before it normalises


def compute_continuity(responses: Array) -> Array:
    """Compute mean |r(i+1, j) − r(i, j)| + mean |r(i, j+1) − r(i, j)|.

    The spatial continuity loss of DFC (Kim, Kanezaki and Tanaka, IEEE TIP 29, 2020), which SGSCN
    has too, as their released code computes it: each mean is over all pairs of neighbours and all
    channels. It is a function of the responses themselves, not of their softmax.

    Args:
      responses: floating point responses r (N, H, W, K), H and W at least 2.

    Returns:
      Loss (), ≥ 0, in the dtype of ``responses`` but at least float32.

    Raises:
      ValueError: the shape is not (N, H, W, K) with H and W at least 2.
    """
    r = _widen("compute_continuity", responses)
    if min(r.shape[1:3]) < 2:
        raise ValueError(
            "compute_continuity needs at least 2 pixels a side, got responses of the shape "
            f"{responses.shape}."
        )
    down, right = r[:, 1:] - r[:, :-1], r[:, :, 1:] - r[:, :, :-1]
    return jnp.mean(_take_magnitude(down)) + jnp.mean(_take_magnitude(right))


def compute_center_term(responses: Array, *, softmax: bool) -> Array:
    """Compute the spread of every channel around its own centre, summed over channels.

    The context-based consistency of SGSCN (Ahn, Feng and Kim, MICCAI 2021): with weights
    q_c = (r_c + 1e-3) / Σ (r_c + 1e-3) and centres (x_c, y_c) = Σ q_c · (x, y), all sums over
    pixels, L = Σ_c Σ q_c · [(x − x_c)² + (y − y_c)²]. Coordinates are x = 2j/W − 1 and
    y = 2i/H − 1. The gradient also flows through the centres.

    Args:
      responses: floating point responses r (N, H, W, K).
      softmax: whether r is replaced by its softmax over channels. This form is ours; the paper's
        text speaks of a probability map. False gives the released code's form: responses
        have mean 0, so the normaliser is nearly 0, the term is around −10⁶ in the first step, and
        the labels collapse to one within a few steps.

    Returns:
      Mean over N images of the sum over channels, (), in the dtype of ``responses`` but at least
      float32. With ``softmax`` it is in [0, 2K].

    Raises:
      ValueError: the shape is not (N, H, W, K).
    """
    r = _widen("compute_center_term", responses)
    weight = (jax.nn.softmax(r, -1) if softmax else r) + _EPSILON
    # The squared distance is a sum over the two axes, so each needs only its marginal weights:
    # one pass over the responses instead of one for the centre and one for the spread.
    spread = _compute_axis_spread(jnp.sum(weight, 2)) + _compute_axis_spread(jnp.sum(weight, 1))
    return jnp.mean(jnp.sum(spread, -1))


def _compute_axis_spread(marginal: Array) -> Array:
    """Compute the variance of the coordinate under each channel's weights: (N, L, K) to (N, K)."""
    length = marginal.shape[1]
    share = marginal / jnp.sum(marginal, 1, keepdims=True)
    place = (2 * jnp.arange(length, dtype=marginal.dtype) / length - 1)[:, None]
    center = jnp.sum(share * place, 1, keepdims=True)
    return jnp.sum(share * jnp.square(place - center), 1)


def _take_magnitude(x: Array) -> Array:
    """Compute |x| with gradient 0 at 0, as PyTorch does; that of ``jnp.abs`` is 1.

    Pixels of equal colour, as in a saturated area, have exactly equal responses. A gradient of 1
    would push these apart in one direction.
    """
    return x * jax.lax.stop_gradient(jnp.sign(x))


def _widen(name: str, responses: Array) -> Array:
    """Return (N, H, W, K) responses in at least float32.

    Raises:
      ValueError: the shape is another one.
    """
    if responses.ndim != 4:
        raise ValueError(f"{name} expects responses (N, H, W, K), got shape {responses.shape}.")
    return responses.astype(jnp.promote_types(responses.dtype, jnp.float32))
