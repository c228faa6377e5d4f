"""Modules refuse options and sizes that do not exist, where they are constructed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from s3net_jax import nn
from s3net_jax.config import ModelConfig

R = nnx.Rngs(0)
Block: Any = nn.AttentionBlock
Inception: Any = nn.InceptionLKA
Color: Any = nn.ColorBranch
Deform: Any = nn.DeformConv
Conv: Any = nn.Conv
Depthwise: Any = nn.DepthwiseConv
Pointwise: Any = nn.Pointwise
Norm: Any = nn.BatchNorm
Net: Any = nn.S3Net

MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: Block(4, residual="before", rngs=R), ValueError, "Did you mean before_projection"),
    (lambda: Block(4, residual=None, rngs=R), ValueError, "residual can't be None"),
    (lambda: Block(4, residual=1, rngs=R), TypeError, "'after_projection', 'before_projection'"),
    (lambda: Color(4, mode="pixel", rngs=R), ValueError, r"mode can't be 'pixel'\. Did you mean"),
    (lambda: Color(4, mode="none", rngs=R), ValueError, "mode can't be 'none'"),
    (lambda: Deform(4, offsets="fre", rngs=R), ValueError, r"Did you mean free\?"),
    (lambda: Deform(4, kernel_init="unifrom", rngs=R), ValueError, r"Did you mean uniform\?"),
    (lambda: Deform(4, shape=(8, 8), rngs=R), ValueError, "has no effect with offsets='predicted'"),
    (lambda: Deform(4, offsets="free", shape=8, rngs=R), TypeError, "shape is 8"),
    (lambda: Deform(4, offsets="free", shape=(8,), rngs=R), ValueError, "1 entries, where 2"),
    (lambda: Deform(4, size=2, rngs=R), ValueError, "size must be odd, got 2"),
    (lambda: Conv(3, 4, 4, rngs=R), ValueError, "size must be odd, got 4"),
    (lambda: Conv(3, 4, 0, rngs=R), ValueError, "size must be at least 1, got 0"),
    (lambda: Conv(3, 4, 3.0, rngs=R), TypeError, "size is 3.0, where a whole number"),
    (lambda: Conv(True, 4, 3, rngs=R), TypeError, "inputs is True"),
    (lambda: Conv(3, -4, 3, rngs=R), ValueError, "outputs must be at least 1, got -4"),
    (lambda: Depthwise(4, 2, rngs=R), ValueError, "size must be odd, got 2"),
    (lambda: Depthwise(4, 3, dilation=0, rngs=R), ValueError, "dilation must be at least 1, got 0"),
    (lambda: Depthwise(4, 3, dilation=1.5, rngs=R), TypeError, "dilation is 1.5"),
    (lambda: Depthwise(4, 3, dilation=np.bool_(1), rngs=R), TypeError, "dilation is"),
    (
        lambda: Inception(4, kernel_sizes=(3, 4, 5), rngs=R),
        ValueError,
        r"kernel_sizes\[1\] must be",
    ),
    (lambda: Inception(4, kernel_sizes=3, rngs=R), TypeError, "kernel_sizes is 3"),
    (lambda: Inception(4, kernel_sizes="357", rngs=R), TypeError, "a sequence of whole numbers"),
    (lambda: Inception(4, kernel_sizes=(), dilations=(), rngs=R), ValueError, "at least one"),
    (lambda: Inception(4, dilations=(1, 0, 2), rngs=R), ValueError, r"dilations\[1\] must be at"),
    (lambda: Inception(4, local_kernel=4, rngs=R), ValueError, "local_kernel must be odd, got 4"),
    (lambda: Inception(4, local_kernel=(3, 5), rngs=R), ValueError, "2 entries, where 3 are"),
    (
        lambda: Inception(4, local_kernel=(3, 4, 5), rngs=R),
        ValueError,
        r"local_kernel\[1\] must be",
    ),
    (lambda: Inception(4, local_kernel="135", rngs=R), TypeError, "local_kernel is '135'"),
    (lambda: Pointwise(3, 4, activation="relu", rngs=R), ValueError, "activation can't be 'relu'"),
    (lambda: Pointwise(3, 4, activation=True, rngs=R), TypeError, "activation can't be True"),
    (lambda: Norm(0), ValueError, "channels must be at least 1, got 0"),
    (lambda: Net("fast", rngs=R), TypeError, "where a ModelConfig is expected"),
]
MODULES: list[Callable[..., Any]] = [
    lambda **o: Pointwise(3, 4, **o),
    lambda **o: Conv(3, 4, 3, **o),
    lambda **o: Depthwise(4, 3, **o),
    lambda **o: Deform(4, **o),
    lambda **o: Inception(4, **o),
    lambda **o: Block(4, **o),
    lambda **o: Color(4, **o),
]


@pytest.mark.parametrize(("call", "kind", "message"), MISTAKES)
def test_mistakes_are_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert str(caught.value)[-1] in ".?"


@pytest.mark.parametrize("module", MODULES)
def test_options_of_every_module(module: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match=r"'nativ'\. Did you mean native"):
        module(implementation="nativ", rngs=R)
    with pytest.raises(ValueError, match=r"dtype can't be 'float23'\. Did you mean float32"):
        module(dtype="float23", rngs=R)
    with pytest.raises(ValueError, match="dtype can't be 'int32'"):
        module(dtype=jnp.int32, rngs=R)
    with pytest.raises(TypeError, match=r"rngs is 0.* pass flax\.nnx\.Rngs\(0\)"):
        module(rngs=0)
    with pytest.raises(TypeError, match=r"rngs is None"):
        module(rngs=None)


@pytest.mark.slow
def test_integers_of_any_kind_are_sizes() -> None:
    n = np.int64
    ours = Inception(
        n(4),
        local_kernel=np.uint8(5),
        kernel_sizes=np.array([3, 5, 7]),
        dilations=[n(1), n(2), jnp.asarray(3)],
        rngs=nnx.Rngs(0),
    )
    plain = nn.InceptionLKA(4, rngs=nnx.Rngs(0))
    x = jnp.linspace(0, 1, 8 * 8 * 4).reshape(1, 8, 8, 4)
    np.testing.assert_array_equal(ours(x), plain(x))
    assert nn.DepthwiseConv(4, 3, dilation=n(2), rngs=R)(x).shape == x.shape  # pyright: ignore
    for dtype in ("bfloat16", jnp.bfloat16, jnp.dtype("bfloat16"), np.float32):
        assert Pointwise(4, 2, dtype=dtype, rngs=R)(x).dtype == jnp.dtype(dtype)


@pytest.mark.slow
def test_the_network_reads_its_shape_only_where_it_needs_it() -> None:
    config = ModelConfig(channels=2, blocks=1)
    assert nn.S3Net(config, (8, 8), rngs=R)(jnp.zeros((1, 9, 8, 3)))[0].shape == (1, 9, 8, 2)
