"""Test the network of SGSCN, DFC and SLIC backpropagation: size, initialisation, values."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import ndimage

from s3net_jax.methods.responses import ResponseNet
from s3net_jax.nn.draws import build_from_pool


def make_network(channels: int = 6, **options) -> ResponseNet:
    return ResponseNet(channels, **options, rngs=nnx.Rngs(0))


def get_bias(layer) -> np.ndarray:
    return np.asarray(layer.bias[...])


def normalise(x: np.ndarray) -> np.ndarray:
    axes = tuple(range(x.ndim - 1))
    return (x - x.mean(axes)) / np.sqrt(x.var(axes) + 1e-5)


def apply_slowly(net: ResponseNet, image: np.ndarray) -> np.ndarray:
    """Correlate with SciPy, one pair of channels at a time; scales are 1 and shifts 0."""
    x = image
    for convolution in net.convolutions:
        kernel = np.asarray(convolution.kernel[...])
        bias = get_bias(convolution)
        y = np.tile(bias, (*x.shape[:2], 1))
        for a, b in np.ndindex(kernel.shape[2:]):
            y[..., b] += ndimage.correlate(x[..., a], kernel[:, :, a, b], mode="constant")
        x = normalise(np.maximum(y, 0))
    return normalise(x @ np.asarray(net.head.kernel[...]) + get_bias(net.head))


def test_number_of_parameters():
    net = ResponseNet(100, rngs=nnx.Rngs(0))
    sizes = [a.size for a in jax.tree.leaves(nnx.state(net, nnx.Param))]
    assert sum(sizes) == 103_600


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_parameters_of_other_depths(blocks):
    net = make_network(5, blocks=blocks)
    sizes = [a.size for a in jax.tree.leaves(nnx.state(net, nnx.Param))]
    first, further = 27 * 5 + 5 + 10, 9 * 25 + 5 + 10
    assert sum(sizes) == first + (blocks - 1) * further + 25 + 5 + 10


@pytest.mark.parametrize(("shape", "blocks"), [((7, 9), 1), ((8, 5), 2), ((11, 6), 3)])
def test_values(x64, shape, blocks):
    net = make_network(4, blocks=blocks, dtype="float64")
    image = np.random.default_rng(0).random((*shape, 3))
    found = jax.jit(net)(jnp.asarray(image[None]))
    np.testing.assert_allclose(found[0], apply_slowly(net, image), rtol=0, atol=1e-11)


def test_responses_have_mean_0_and_variance_1():
    image = np.random.default_rng(0).random((1, 16, 12, 3)).astype(np.float32)
    r = np.asarray(make_network()(jnp.asarray(image)))
    np.testing.assert_allclose(r.mean((0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(r.var((0, 1, 2)), 1, atol=1e-3)


def test_initial_parameters_fill_pytorchs_default_range():
    net = ResponseNet(32, rngs=nnx.Rngs(1))
    for layer, fan_in in (
        (net.convolutions[0], 27),
        (net.convolutions[1], 9 * 32),
        (net.head, 32),
    ):
        bound = fan_in**-0.5
        for values in (np.asarray(layer.kernel[...]), get_bias(layer)):
            assert np.abs(values).max() <= bound
            assert np.abs(values).max() > 0.8 * bound
            assert np.min(values) < 0 < np.max(values)
        np.testing.assert_allclose(np.std(layer.kernel[...]), bound / 3**0.5, rtol=0.1)
    for norm in (*net.norms, net.head_norm):
        np.testing.assert_array_equal(norm.scale[...], 1)
        np.testing.assert_array_equal(norm.bias[...], 0)


@pytest.mark.slow
def test_pooled_draws_are_the_same_parameters():
    key = jax.random.key(5)
    pooled = build_from_pool(lambda rngs: ResponseNet(6, rngs=rngs), key)
    single = ResponseNet(6, rngs=nnx.Rngs(params=key))
    states = [nnx.to_pure_dict(nnx.state(net, nnx.Param)) for net in (pooled, single)]
    jax.tree.map(np.testing.assert_array_equal, *states)


@pytest.mark.parametrize("options", [{"channels": 0}, {"blocks": 0}, {"dtype": "int8"}])
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        make_network(**options)
