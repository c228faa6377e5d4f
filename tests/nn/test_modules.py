"""NNX modules against plain NumPy loops."""

from __future__ import annotations

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special

from s3net_jax import nn
from s3net_jax.config import ModelConfig

pytestmark = pytest.mark.usefixtures("x64")
F64: Any = {"dtype": "float64"}


def rngs() -> nnx.Rngs:
    return nnx.Rngs(params=0)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape)


def value(parameter) -> np.ndarray:
    return np.asarray(parameter[...])


def slow_conv(x, kernel, bias: Any = 0.0):
    """(N, H, W, Cin) with (k, k, Cin, Cout), zero "same" padding, one pixel at a time."""
    n, h, w, _ = x.shape
    size, _, _, outputs = kernel.shape
    y = np.zeros((n, h, w, outputs)) + bias
    for a, i, j in itertools.product(range(n), range(h), range(w)):
        for p, q in itertools.product(range(size), range(size)):
            r, c = i + p - size // 2, j + q - size // 2
            if 0 <= r < h and 0 <= c < w:
                y[a, i, j] += x[a, r, c] @ kernel[p, q]
    return y


def slow_depthwise(x, kernel, bias, dilation):
    y = np.zeros_like(x) + bias
    size, reach = kernel.shape[0], kernel.shape[0] // 2 * dilation
    h, w = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    for p, q in itertools.product(range(size), range(size)):
        top, left = p * dilation, q * dilation
        y += padded[:, top : top + h, left : left + w] * kernel[p, q]
    return y


def slow_norm(x, scale, bias):
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    return (x - mean) / np.sqrt(variance + 1e-5) * scale + bias


def slow_gelu(x):
    return x * 0.5 * (1 + special.erf(x / np.sqrt(2)))


def slow_deform(x, offset, mask, kernel):
    n, h, w, channels = x.shape
    size, _, _, outputs = kernel.shape
    y = np.zeros((n, h, w, outputs))
    for a, i, j, t in itertools.product(range(n), range(h), range(w), range(size * size)):
        r = i - size // 2 + t // size + offset[a, i, j, 2 * t]
        c = j - size // 2 + t % size + offset[a, i, j, 2 * t + 1]
        sample = np.zeros(channels)
        for u, v in itertools.product((0, 1), (0, 1)):
            rr, cc = int(np.floor(r)) + u, int(np.floor(c)) + v
            if 0 <= rr < h and 0 <= cc < w:
                sample += (1 - abs(r - rr)) * (1 - abs(c - cc)) * x[a, rr, cc]
        y[a, i, j] += mask[a, i, j, t] * sample @ kernel[t // size, t % size]
    return y


def slow_block(block: Any, x):
    a = slow_gelu(x @ value(block.project_in.kernel) + value(block.project_in.bias))
    layers, local = block.attention.branches, block.attention.local
    own = list(local) if isinstance(local, nnx.List) else [local] * len(layers)
    branches = [
        slow_depthwise(
            slow_depthwise(a, value(first.kernel), value(first.bias), 1),
            value(b.kernel),
            value(b.bias),
            b.dilation,
        )
        for first, b in zip(own, layers, strict=True)
    ]
    mix = block.attention.mix
    u = a * (np.concatenate(branches, -1) @ value(mix.kernel) + value(mix.bias))
    out = block.project_out
    if block.residual == "before_projection":
        return (u + x) @ value(out.kernel) + value(out.bias)
    return u @ value(out.kernel) + value(out.bias) + x


@pytest.mark.parametrize("size", [1, 3, 5])
def test_conv(size):
    x, conv = random(2, 5, 6, 3), nn.Conv(3, 4, size, **F64, rngs=rngs())
    expected = slow_conv(x, value(conv.kernel), value(conv.bias))
    np.testing.assert_allclose(conv(jnp.asarray(x)), expected, atol=1e-13)


def test_batch_norm():
    norm = nn.BatchNorm(3, **F64)
    norm.scale[...], norm.bias[...] = jnp.asarray(random(3, seed=1)), jnp.asarray(random(3, seed=2))
    x = random(2, 5, 4, 3) * 7 + 3
    expected = slow_norm(x, value(norm.scale), value(norm.bias))
    np.testing.assert_allclose(norm(jnp.asarray(x)), expected, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("residual", ["after_projection", "before_projection"])
@pytest.mark.parametrize(
    ("kernels", "dilations"), [((3, 5, 7), (1, 2, 3)), ((7,), (3,)), ((1, 3), (4, 9))]
)
def test_attention_block(residual, kernels, dilations):
    block = nn.AttentionBlock(
        4, residual=residual, kernel_sizes=kernels, dilations=dilations, **F64, rngs=rngs()
    )
    x = random(1, 9, 7, 4)
    np.testing.assert_allclose(block(jnp.asarray(x)), slow_block(block, x), atol=1e-12)


@pytest.mark.parametrize("residual", ["after_projection", "before_projection"])
def test_attention_block_with_local_convolutions_in_every_branch(residual):
    block = nn.AttentionBlock(4, residual=residual, local_kernel=(1, 3, 5), **F64, rngs=rngs())
    assert len(block.attention.local) == 3  # pyright: ignore[reportArgumentType]
    x = random(2, 9, 7, 4)
    np.testing.assert_allclose(block(jnp.asarray(x)), slow_block(block, x), atol=1e-12)


def test_the_network_has_the_local_convolutions_of_the_configuration():
    options: Any = {"channels": 4, "blocks": 1, "inception": "local", "local_kernels": (3, 1, 7)}
    net = nn.S3Net(ModelConfig(**options), rngs=rngs())
    attention: Any = net.blocks[0].attention  # pyright: ignore[reportAttributeAccessIssue]
    assert [local.kernel.shape for local in attention.local] == [(3, 3, 4), (1, 1, 4), (7, 7, 4)]


def test_the_numbers_of_kernels_and_dilations_must_agree():
    with pytest.raises(ValueError, match="each branch needs one of both"):
        nn.InceptionLKA(4, kernel_sizes=(3, 5), dilations=(1,), rngs=rngs())


def test_free_deform_conv():
    options: Any = {"offsets": "free", "shape": (6, 5), "kernel_init": "uniform"}
    layer = nn.DeformConv(3, **options, **F64, rngs=rngs())
    assert layer.offset is not None and layer.mask is not None
    layer.offset[...] = jnp.asarray(random(1, 6, 5, 18) * 2)
    x = random(2, 6, 5, 3)
    offset, mask = (np.repeat(value(p), 2, axis=0) for p in (layer.offset, layer.mask))
    expected = slow_deform(x, offset, mask, value(layer.kernel))
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, atol=1e-12)
    with pytest.raises(ValueError, match="free offsets are for images of"):
        layer(jnp.zeros((1, 7, 5, 3)))
    with pytest.raises(ValueError, match="shape="):
        nn.DeformConv(3, offsets="free", rngs=rngs())


def test_predicted_deform_conv_starts_as_half_a_convolution_and_then_bends():
    layer = nn.DeformConv(3, **F64, rngs=rngs())
    x = random(1, 6, 5, 3)
    plain = slow_conv(x, value(layer.kernel))
    np.testing.assert_allclose(layer(jnp.asarray(x)), plain / 2, atol=1e-13)
    assert layer.predict is not None
    layer.predict.kernel[...] = jnp.asarray(random(3, 3, 3, 27, seed=1) * 0.3)
    wide = slow_conv(x, value(layer.predict.kernel))
    expected = slow_deform(x, wide[..., :18], special.expit(wide[..., 18:]), value(layer.kernel))
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("color", ["none", "pixels", "released"])
def test_the_network_is_its_layers_in_order(color):
    config = ModelConfig(channels=4, deform="free", color=color, dtype="float64")
    net: Any = nn.S3Net(config, (8, 6), rngs=rngs())
    x = random(1, 8, 6, 3) ** 2

    def norm(module, a):
        return slow_norm(a, value(module.scale), value(module.bias))

    def dense(module, a):
        return a @ value(module.kernel) + value(module.bias)

    f = norm(net.stem_norm, slow_conv(x, value(net.stem.kernel), value(net.stem.bias)))
    for block, block_norm in zip(net.blocks, net.block_norms, strict=True):
        f = norm(block_norm, slow_block(block, f))
    auxiliary = norm(net.auxiliary_norm, dense(net.auxiliary, f))
    deform: Any = net.deform
    bent = slow_deform(f, value(deform.offset), value(deform.mask), value(deform.kernel))
    logits = norm(net.head_norm, dense(net.head, norm(net.deform_norm, bent)))
    if color != "none":
        pixels = x @ value(net.color.map.kernel)
        mixed = logits + pixels
        if color == "released":
            factors = sum(
                (a / np.linalg.norm(a, axis=(1, 2), keepdims=True)).sum((1, 2), keepdims=True)
                for a in (logits, pixels)
            )
            mixed = factors * logits.sum(-1, keepdims=True)
        logits = norm(net.color.norm, dense(net.color.head, mixed))
    actual = net(jnp.asarray(x))
    np.testing.assert_allclose(actual[0], logits, atol=1e-9)
    np.testing.assert_allclose(actual[1], auxiliary, atol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"deform": "none"}, {"deform": "conv"}, {"block": "conv"}, {"dtype": "bfloat16"}]
)
def test_variants_keep_shape_and_dtype(options):
    config = ModelConfig(channels=4, blocks=1, **options)
    logits, auxiliary = nn.S3Net(config, rngs=rngs())(jnp.zeros((2, 8, 6, 3)))
    assert logits.shape == auxiliary.shape == (2, 8, 6, 4)
    assert logits.dtype == jnp.dtype(config.dtype)
