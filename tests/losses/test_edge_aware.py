"""The edge-aware loss against a slow loop over pairs of neighbours, in value and gradient."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

import s3net_jax as s3
from s3net_jax.losses import edge_aware_consistency
from tests.losses.test_losses import numeric_gradient


def compute_slowly(logits: np.ndarray, images: np.ndarray, scale: float) -> float:
    p = special.softmax(logits, -1)
    total = 0.0
    maps, height, width = logits.shape[:3]
    for n in range(maps):
        for y in range(height):
            for x in range(width):
                for j, i in ((y + 1, x), (y, x + 1)):
                    if j < height and i < width:
                        squared = ((images[n, y, x] - images[n, j, i]) ** 2).sum()
                        weight = math.exp(-squared / (2 * scale**2))
                        total += weight * np.abs(p[n, y, x] - p[n, j, i]).sum()
    return total / (maps * height * width)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", [(2, 4, 5, 3), (1, 2, 7, 2)], ids=str)
@pytest.mark.parametrize("scale", [0.1, 0.5])
def test_value_and_gradients(shape: tuple[int, ...], scale: float) -> None:
    random = np.random.default_rng(0)
    logits, images = random.normal(0, 2, shape), random.random((*shape[:3], 3))
    loss = jax.value_and_grad(edge_aware_consistency, argnums=(0, 1))
    value, gradients = loss(jnp.asarray(logits), jnp.asarray(images), scale)
    assert value == pytest.approx(compute_slowly(logits, images, scale), rel=1e-12)
    slow = (
        numeric_gradient(lambda x: compute_slowly(x, images, scale), logits),
        numeric_gradient(lambda x: compute_slowly(logits, x, scale), images),
    )
    for found, expected in zip(gradients, slow, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.usefixtures("x64")
def test_any_leading_axes_and_vmap() -> None:
    random = np.random.default_rng(1)
    logits = jnp.asarray(random.normal(size=(2, 3, 4, 5, 3)))
    images = jnp.asarray(random.random((2, 3, 4, 5, 1)))
    each = [
        [edge_aware_consistency(logits[n, m], images[n, m]) for m in range(3)] for n in range(2)
    ]
    each = np.array(each)
    assert float(edge_aware_consistency(logits, images)) == pytest.approx(np.mean(each), rel=1e-12)
    np.testing.assert_allclose(jax.vmap(jax.vmap(edge_aware_consistency))(logits, images), each)


def test_low_precision_is_summed_in_float32() -> None:
    logits = jnp.zeros((4, 4, 2), jnp.bfloat16).at[:2].set(3)
    found = edge_aware_consistency(logits, jnp.zeros((4, 4, 3), jnp.bfloat16))
    assert found.dtype == jnp.float32


def test_images_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got shapes \(4, 4, 2\) and \(4, 5, 3\)"):
        edge_aware_consistency(jnp.zeros((4, 4, 2)), jnp.zeros((4, 5, 3)))


def test_a_fit_reports_it_and_follows_its_scale() -> None:
    random = np.random.default_rng(2)
    image = random.random((16, 16, 3)).astype(np.float32)
    small = {"channels": 4, "blocks": 1}
    losses = []
    for scale in (0.05, 1.0):
        loss = {"spatial": "edge", "edge_scale": scale}
        config = s3.preset("paper").replace(model=small, loss=loss, fit={"steps": 2})
        found = s3.fit(jax.random.key(0), image, config)
        assert np.isfinite(found.history["loss"]).all()
        losses.append(float(found.history["spatial"][0]))
    assert 0 < losses[0] < losses[1], "noise is full of edges at a small scale"
