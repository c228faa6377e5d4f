"""Pooled draws are the draws of NNX, number for number."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import s3net_jax as s3
from s3net_jax.nn import S3Net
from s3net_jax.nn.draws import (
    build_from_pool,
    draw_kaiming_normal,
    draw_normal,
    draw_uniform,
)


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "dtype"), [("paper", "float32"), ("released", "float64")])
def test_a_network_starts_as_it_would_without_a_pool(x64, preset, dtype):
    config = s3.preset(preset).replace(model={"channels": 12, "blocks": 1, "dtype": dtype}).model
    key = jax.random.key(5)

    def build(rngs: nnx.Rngs) -> S3Net:
        return S3Net(config, (9, 7), rngs=rngs)

    expected = jax.jit(lambda key: nnx.state(build(nnx.Rngs(params=key)), nnx.Param))(key)
    found = jax.jit(lambda key: nnx.state(build_from_pool(build, key), nnx.Param))(key)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.slow
def test_sizes_of_every_kind():
    """One number, none, powers of the ratio between groups and their neighbours."""
    shapes = [(), (1,), (0, 3), (2,), (16,), (17,), (15, 1), (256,), (257,), (4100,), (1,)]

    def draw(rngs):
        return [draw_uniform(rngs, shape, -0.3, 0.7) for shape in shapes]

    key = jax.random.key(1)
    for found, expected in zip(build_from_pool(draw, key), draw(nnx.Rngs(params=key)), strict=True):
        assert found.dtype == jnp.float32
        np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_normal_draws_are_those_of_jax():
    shapes = [(3, 5), (300,)]

    def draw(rngs):
        return [draw_normal(rngs, shape) for shape in shapes]

    streams = nnx.Rngs(params=jax.random.key(3))
    expected = [jax.random.normal(streams.params(), shape, jnp.float32) for shape in shapes]
    for build in (draw, lambda rngs: build_from_pool(draw, jax.random.key(3))):
        for found, wanted in zip(build(nnx.Rngs(params=jax.random.key(3))), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.slow
def test_normal_draws_have_the_variance_that_they_are_given():
    rngs = nnx.Rngs(params=0)
    many = (200, 200)
    # The standard error of a deviation of 40,000 numbers is 0.35 %.
    np.testing.assert_allclose(np.std(draw_normal(rngs, many, 0.01)), 0.01, rtol=0.02)
    found = draw_kaiming_normal(rngs, many, 50, jnp.float32)
    np.testing.assert_allclose(np.std(found), 0.2, rtol=0.02)
    assert abs(np.mean(found)) < 0.005
    assert draw_kaiming_normal(rngs, (2,), 50, jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.slow
def test_over_many_keys():
    keys = jax.random.split(jax.random.key(2), 3)

    def draw(rngs):
        return draw_uniform(rngs, (3, 2)), draw_uniform(rngs, (40,))

    many = jax.vmap(lambda key: build_from_pool(draw, key))(keys)
    for n, key in enumerate(keys):
        one = draw(nnx.Rngs(params=key))
        jax.tree.map(lambda a, b, n=n: np.testing.assert_array_equal(a[n], b), many, one)


@pytest.mark.parametrize("kind", ["rbg", "unsafe_rbg"])
def test_keys_of_another_kind(kind):
    key = jax.random.key(0, impl=kind)

    def draw(rngs):
        return draw_uniform(rngs, (5,)), draw_uniform(rngs, (3,))

    jax.tree.map(
        np.testing.assert_array_equal, build_from_pool(draw, key), draw(nnx.Rngs(params=key))
    )


def test_another_layout_of_threefry():
    with jax.threefry_partitionable(False):
        key = jax.random.key(0)

        def draw(rngs):
            return draw_uniform(rngs, (5,)), draw_uniform(rngs, (3,))

        jax.tree.map(
            np.testing.assert_array_equal, build_from_pool(draw, key), draw(nnx.Rngs(params=key))
        )
