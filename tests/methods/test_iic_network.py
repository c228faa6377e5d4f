"""The network of IIC against plain loops over its layers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special

from s3net_jax.methods.iic.network import MIN_SIDE, IICNet, convolve_dilated, pool, upsample
from s3net_jax.nn import Conv
from s3net_jax.nn.draws import build_from_pool


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape)


def make_net(inputs: int = 3, width: int = 2, clusters: int = 3, **options: Any) -> IICNet:
    return IICNet(inputs, width, 7, clusters, **options, rngs=nnx.Rngs(params=0))


def convolve_slowly(x, kernel, padding: int, dilation: int = 1) -> np.ndarray:
    """One output pixel at a time, from the definition of a padded and dilated convolution."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    reach = (kernel.shape[0] - 1) * dilation
    images, height, width = x.shape[0], x.shape[1] - reach, x.shape[2] - reach
    y = np.zeros((images, height, width, kernel.shape[3]))
    for n, h, w, i, j in np.ndindex(images, height, width, *kernel.shape[:2]):
        y[n, h, w] += x[n, h + i * dilation, w + j * dilation] @ kernel[i, j]
    return y


def upsample_slowly(maps, shape) -> np.ndarray:
    out = np.zeros((maps.shape[0], *shape, maps.shape[3]))
    sides = maps.shape[1:3]
    for h, w in np.ndindex(*shape):
        places = []
        for index, length, wanted in zip((h, w), sides, shape, strict=True):
            at = np.clip((index + 0.5) * length / wanted - 0.5, 0, length - 1)
            low = int(np.floor(at))
            places.append([(low, 1 - at + low), (min(low + 1, length - 1), at - low)])
        for row, a in places[0]:
            for column, b in places[1]:
                out[:, h, w] += a * b * maps[:, row, column]
    return out


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("shape", [(6, 6), (7, 5), (5, 8), (3, 4)])
def test_the_dilated_layer_has_padding_one(shape):
    conv = Conv(2, 3, 3, bias=False, dtype="float64", rngs=nnx.Rngs(params=0))
    x = random(2, *shape, 2)
    expected = convolve_slowly(x, np.asarray(conv.kernel[...]), padding=1, dilation=2)
    found = convolve_dilated(conv, jnp.asarray(x))
    assert found.shape == (2, shape[0] - 2, shape[1] - 2, 3)
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.usefixtures("x64")
def test_the_pool_drops_the_last_row_of_an_odd_side():
    x = random(2, 7, 5, 3)
    expected = np.zeros((2, 3, 2, 3))
    for h, w in np.ndindex(3, 2):
        expected[:, h, w] = x[:, 2 * h : 2 * h + 2, 2 * w : 2 * w + 2].max((1, 2))
    np.testing.assert_array_equal(pool(jnp.asarray(x)), expected)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(
    ("small", "large"), [((3, 4), (10, 12)), ((5, 2), (14, 7)), ((1, 1), (4, 5))]
)
def test_upsampling_has_half_pixel_centres(small, large):
    maps = random(2, *small, 3)
    expected = upsample_slowly(maps, large)
    np.testing.assert_allclose(upsample(jnp.asarray(maps), large), expected, atol=1e-13)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("head", ["a", "b"])
@pytest.mark.parametrize("shape", [(MIN_SIDE, 13), (17, 12)])
def test_the_network_is_its_layers_in_order(head, shape):
    net: Any = make_net(dtype="float64")
    for index, norm in enumerate(net.norms):
        norm.scale[...] = 1 + jnp.asarray(random(norm.scale.shape[0], seed=index)) / 4
        norm.bias[...] = jnp.asarray(random(norm.bias.shape[0], seed=index + 9)) / 4
    images = random(2, *shape, 3) ** 2
    x = images
    for index, (conv, norm) in enumerate(zip(net.convs, net.norms, strict=True)):
        if index == 2:
            x = np.asarray(pool(jnp.asarray(x)))
        x = convolve_slowly(x, np.asarray(conv.kernel[...]), 1, 2 if index >= 4 else 1)
        x = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
        x = np.maximum(x * np.asarray(norm.scale[...]) + np.asarray(norm.bias[...]), 0)
    assert x.shape[1:3] == (shape[0] // 2 - 4, shape[1] // 2 - 4)
    kernel = np.asarray((net.head_a if head == "a" else net.head_b).kernel[...])
    logits = convolve_slowly(x, kernel[None, None], padding=1)
    expected = upsample_slowly(special.softmax(logits, -1), shape)
    found = net(jnp.asarray(images), head)
    assert found.shape == (2, *shape, 7 if head == "a" else 3)
    np.testing.assert_allclose(found, expected, atol=1e-11)
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-13)


@pytest.mark.parametrize(("inputs", "width", "clusters"), [(3, 64, 3), (4, 2, 5)])
def test_the_number_of_parameters(inputs, width, clusters):
    net = nnx.eval_shape(lambda: make_net(inputs, width, clusters))
    found = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(net, nnx.Param)))
    kernels = 9 * (inputs * width + width**2 * (2 + 8 + 16 + 32 + 64))
    norms = 2 * width * (1 + 2 + 4 + 4 + 8 + 8)
    assert found == kernels + norms + 8 * width * (7 + clusters)
    if width == 64:
        assert kernels + norms == 4_502_592


def test_kernels_start_with_the_variance_of_kaiming():
    net: Any = make_net(width=16)
    for conv in net.convs[1:]:
        fan_in = 9 * conv.kernel.shape[2]
        np.testing.assert_allclose(np.std(conv.kernel[...]), (2 / fan_in) ** 0.5, rtol=0.05)
    np.testing.assert_allclose(np.std(net.head_a.kernel[...]), (2 / 128) ** 0.5, rtol=0.1)


def test_a_pool_of_draws_builds_the_same_network():
    def build(rngs: nnx.Rngs) -> IICNet:
        return IICNet(3, 2, 7, 3, rngs=rngs)

    key = jax.random.key(4)
    expected = nnx.state(build(nnx.Rngs(params=key)), nnx.Param)
    found = nnx.state(build_from_pool(build, key), nnx.Param)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_probabilities_are_at_least_float32():
    net = make_net(dtype="bfloat16")
    assert net(jnp.ones((1, 12, 12, 3))).dtype == jnp.float32
