"""Both orders of the inception in a whole fit: the same bits again, and exact gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import s3net_jax as s3
from s3net_jax.config import Config
from s3net_jax.fitting import (
    StepInputs,
    fit,
    hyperparameters,
    initial_params,
    make_graph,
    objective,
)
from s3net_jax.ops import affine_matrix

ORDERS = ["local", "dilated"]
SHAPE = (9, 8, 3)


def make_config(inception: str, dtype: str = "float32") -> Config:
    model = {"channels": 4, "blocks": 1, "inception": inception, "dtype": dtype}
    return s3.preset("paper").replace(model=model, fit={"steps": 3})


def draw_image() -> jax.Array:
    return jax.random.uniform(jax.random.key(0), SHAPE)


@pytest.mark.slow
def test_a_fit_has_the_same_bits_again_and_others_in_the_other_order():
    found = {}
    for order in ORDERS:
        found[order], again = (
            fit(jax.random.key(3), draw_image(), make_config(order)) for _ in range(2)
        )
        jax.tree.map(np.testing.assert_array_equal, found[order], again)
    assert not np.allclose(found["local"].logits, found["dilated"].logits)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("order", ORDERS)
def test_the_gradient_of_the_loss_is_its_slope(order):
    """Compare the derivative along a random direction with central differences in float64."""
    config = make_config(order, "float64")
    graph = make_graph(config, SHAPE)
    random = np.random.default_rng(2)

    def draw_like(params, deviation):
        return jax.tree.map(lambda a: jnp.asarray(random.normal(0, deviation, a.shape)), params)

    start = initial_params(jax.random.key(1), config, SHAPE)
    direction = draw_like(start, 1)
    # Offsets start at zero, where bilinear sampling has a kink: leave it.
    start = jax.tree.map(jnp.add, start, draw_like(start, 0.1))
    matrix = affine_matrix(*(jnp.asarray(v, float) for v in (20.0, (0.5, -0.3), 1.1, 4.0)))
    image, palette = draw_image().astype(float), jnp.linspace(0, 1, 4)
    inputs = StepInputs(image[None], hyperparameters(config), matrix, palette)

    def compute_loss(step):
        moved = jax.tree.map(lambda a, d: a + step * d, start, direction)
        return objective(nnx.merge(graph, moved), inputs, config).loss

    both = jax.jit(jax.value_and_grad(compute_loss))
    # So small that no pixel changes its pseudo label; rounding errors are 1e-8 of the slope.
    h = 1e-7
    (above, _), (_, slope), (below, _) = (both(step) for step in (h, 0.0, -h))
    np.testing.assert_allclose(slope, (above - below) / (2 * h), rtol=1e-5)
