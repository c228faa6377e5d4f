"""The stock Flax baseline computes what S3-Net computes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from benchmarks.harness.stock_flax import StockS3Net
from s3net_jax.fitting import StepInputs, hyperparameters, objective
from s3net_jax.nn import S3Net
from s3net_jax.nn.draws import build_from_pool
from s3net_jax.presets import preset


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paper", "released"])
def test_same_network(name):
    whole = preset(name).replace(model={"channels": 6, "implementation": "xla"})
    config = whole.model
    shape = (12, 17)
    ours = build_from_pool(lambda rngs: S3Net(config, shape, rngs=rngs), jax.random.key(0))
    stock = nnx.eval_shape(lambda: StockS3Net(config, shape, rngs=nnx.Rngs(1)))
    given = dict(nnx.to_flat_state(nnx.state(stock, nnx.Param)))

    def place(path: tuple) -> tuple:
        """Where the stock network keeps one of our parameters."""
        names = ("local", "branches", "mix")
        inside = "attention" in path
        assert not inside or path[3] in names
        return tuple(part for part in path if part != "attention")

    moved = 0
    for path, value in nnx.to_flat_state(nnx.state(ours, nnx.Param)):
        target = given[place(path)]
        target.set_value(value.get_value().reshape(target.get_value().shape))
        moved += 1
    assert moved == len(given)
    nnx.update(stock, nnx.from_flat_state(list(given.items())))
    image = jnp.asarray(np.random.default_rng(0).random((1, *shape, 3)), jnp.float32)
    for a, b in zip(jax.jit(ours)(image), jax.jit(stock)(image), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-4)

    def loss(net: S3Net) -> jax.Array:
        inputs = StepInputs(image, hyperparameters(whole), jnp.eye(2, 3), jnp.linspace(0, 1, 6))
        return objective(net, inputs, whole).loss

    np.testing.assert_allclose(jax.jit(loss)(ours), jax.jit(loss)(stock), rtol=1e-4)
