"""What a loss does at the edges of its arguments: few valid pixels, no batch, other dtypes."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from jax import Array
from scipy import special

from s3net_jax import losses

RANDOM = np.random.default_rng(5)
LOGITS = RANDOM.normal(0, 2, (3, 4, 6, 5))
LABELS = RANDOM.integers(0, 5, LOGITS.shape[:3])

Loss = Callable[..., Array]
LOSSES: dict[str, Loss] = {
    "cross_entropy": lambda s, **how: losses.cross_entropy(s, jnp.asarray(LABELS), **how),
    "affine_consistency": lambda s, **how: losses.affine_consistency(
        s, jnp.asarray(LABELS), jnp.asarray(LABELS > 0), **how
    ),
    "spatial_consistency": losses.spatial_consistency,
}


def pixel_costs() -> np.ndarray:
    """(N, H, W): −log softmax(logits) at each pixel's label."""
    log_p = special.log_softmax(LOGITS, -1)
    return -np.take_along_axis(log_p, LABELS[..., None], -1)[..., 0]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_valid_pixels_are_averaged_over_their_number(count: int) -> None:
    valid = np.zeros(LABELS.shape, bool)
    valid.flat[[5, 40, 61][:count]] = True
    value = losses.affine_consistency(jnp.asarray(LOGITS), jnp.asarray(LABELS), jnp.asarray(valid))
    np.testing.assert_allclose(value, pixel_costs()[valid].mean(), rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_each_map_may_have_valid_pixels_of_its_own() -> None:
    valid = RANDOM.random(LABELS.shape) < np.array([0.1, 0.5, 0.9])[:, None, None]
    value = losses.affine_consistency(jnp.asarray(LOGITS), jnp.asarray(LABELS), jnp.asarray(valid))
    np.testing.assert_allclose(value, pixel_costs()[valid].mean(), rtol=1e-12)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("leading", [(), (1,), (3,), (1, 3)])
def test_any_number_of_leading_axes_is_averaged_over(leading: tuple[int, ...]) -> None:
    count = int(np.prod(leading))
    logits = jnp.asarray(LOGITS[:count].reshape(*leading, *LOGITS.shape[1:]))
    labels = jnp.asarray(LABELS[:count].reshape(*leading, *LABELS.shape[1:]))
    value = losses.cross_entropy(logits, labels)
    np.testing.assert_allclose(value, pixel_costs()[:count].mean(), rtol=1e-12)
    singles = [losses.spatial_consistency(jnp.asarray(one)) for one in LOGITS[:count]]
    value = losses.spatial_consistency(logits)
    np.testing.assert_allclose(value, np.mean(singles), rtol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_low_precision_logits_are_summed_in_float32(name: str, dtype: type) -> None:
    low = LOGITS.astype(dtype)
    value = LOSSES[name](jnp.asarray(low))
    assert value.dtype == jnp.float32
    exact = LOSSES[name](jnp.asarray(low.astype(np.float32)))
    np.testing.assert_allclose(value, exact, rtol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_the_named_implementation_is_the_one_used(name: str) -> None:
    logits = jnp.asarray(LOGITS, jnp.float32)
    reference = LOSSES[name](logits, implementation="reference")
    np.testing.assert_allclose(LOSSES[name](logits), reference, rtol=1e-5)
    with pytest.raises(ValueError, match="nosuch"):
        LOSSES[name](logits, implementation="nosuch")


def test_the_first_of_equal_logits_is_the_pseudo_label() -> None:
    logits = jnp.zeros((2, 3, 4)).at[0, 0, 2:].set(1)
    labels = losses.pseudo_label(logits)
    assert labels.dtype == jnp.int32
    np.testing.assert_array_equal(labels, [[2, 0, 0], [0, 0, 0]])


def test_the_hard_loss_has_the_palettes_dtype_and_grows_with_its_contrast() -> None:
    labels = jnp.asarray(LABELS)
    palette = jnp.linspace(0, 1, 5, dtype=jnp.float32)
    whole = losses.hard_spatial_consistency(labels, palette)
    assert whole.dtype == jnp.float32
    half = losses.hard_spatial_consistency(labels, palette / 2)
    np.testing.assert_allclose(half, whole / 2, rtol=1e-6)
