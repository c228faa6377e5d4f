"""The parts of MS-Former's network against slow NumPy versions, in value and gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from s3net_jax.methods.ms_former.blocks import Block, EfficientAttention, MixFFN
from s3net_jax.methods.ms_former.layers import LayerNorm, StridedConv
from s3net_jax.methods.ms_former.network import Fusion, MSFormer, PatchAttention, shuffle_pixels
from s3net_jax.nn.draws import build_from_pool
from tests.methods import slow_ms_former as slow

F64: Any = {"dtype": "float64"}
PARAMETERS = 10_811_500  # with 100 channels; counted by hand in test_parameter_count


def rngs(seed: int = 0) -> nnx.Rngs:
    return nnx.Rngs(params=seed)


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, shape)


def get_values(module: nnx.Module) -> slow.Tree:
    """Return all parameters as NumPy arrays."""
    return jax.tree.map(np.asarray, nnx.to_pure_dict(nnx.state(module, nnx.Param)))


def scatter(module: nnx.Module) -> Any:
    """Replace all parameters, ones and zeros of normalisations too, by random ones."""
    graph, state = nnx.split(module, nnx.Param)
    leaves, structure = jax.tree.flatten(state)
    drawn = [jnp.asarray(leaf + 0.3 * random(*leaf.shape, seed=n)) for n, leaf in enumerate(leaves)]
    return nnx.merge(graph, jax.tree.unflatten(structure, drawn))


def check(module: Any, expected: Callable[..., Any], *inputs: np.ndarray) -> None:
    """Compare value and gradient of ``module`` with those of a slow version.

    The gradient of a random linear combination of the results is compared along random
    directions of the inputs and all parameters, by central differences of the slow version.
    """
    graph, state = nnx.split(module, nnx.Param)
    values = get_values(module)
    results = jax.tree.leaves(expected(*inputs, values))
    weights = [random(*result.shape, seed=9 + n) for n, result in enumerate(results)]

    def combine(results: Any) -> Any:
        return sum((w * r).sum() for w, r in zip(weights, jax.tree.leaves(results), strict=True))

    def compute(inputs: Any, values: Any) -> Any:
        nnx.replace_by_pure_dict(state, values)
        actual = nnx.merge(graph, state)(*inputs)
        return combine(actual), actual

    point = (inputs, values)
    gradient, actual = jax.jit(jax.grad(compute, argnums=(0, 1), has_aux=True))(*point)
    for one, other in zip(jax.tree.leaves(actual), results, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-11)

    leaves, structure = jax.tree.flatten(point)
    slopes = jax.tree.leaves(gradient)
    for seed in range(3):
        along = [random(*leaf.shape, seed=100 * seed + n) for n, leaf in enumerate(leaves)]

        def shift(step: float, along: Any = along) -> Any:
            moved = [leaf + step * a for leaf, a in zip(leaves, along, strict=True)]
            inputs, values = jax.tree.unflatten(structure, moved)
            return combine(expected(*inputs, values))

        numeric = (shift(1e-6) - shift(-1e-6)) / 2e-6
        analytic = sum((s * a).sum() for s, a in zip(slopes, along, strict=True))
        np.testing.assert_allclose(analytic, numeric, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("x64")
class TestAgainstNumPy:
    def test_layer_norm(self):
        module = scatter(LayerNorm(5, **F64))
        check(module, slow.normalise_channels, random(2, 3, 4, 5) * 7 + 3)

    @pytest.mark.parametrize("shape", [(1, 1), (5, 7), (9, 4), (2, 2)])
    def test_strided_convolution(self, shape: tuple[int, int]):
        module = StridedConv(3, 4, **F64, rngs=rngs())
        check(module, lambda x, p: slow.convolve(x, p, 2), random(2, *shape, 3))

    @pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
    def test_efficient_attention(self, shape: tuple[int, int]):
        check(EfficientAttention(4, **F64, rngs=rngs()), slow.attend, random(2, *shape, 4))

    @pytest.mark.parametrize("shape", [(1, 1), (3, 5)])
    def test_mix_ffn(self, shape: tuple[int, int]):
        module = scatter(MixFFN(3, **F64, rngs=rngs()))
        check(module, slow.feed_forward, random(2, *shape, 3))

    def test_block(self):
        check(scatter(Block(3, **F64, rngs=rngs())), slow.apply_block, random(2, 3, 5, 3))

    @pytest.mark.parametrize("shape", [(5, 7), (9, 3)])
    def test_fusion(self, shape: tuple[int, int]):
        small = random(2, *shape, 3)
        large = random(2, -(-shape[0] // 2), -(-shape[1] // 2), 3, seed=1)
        check(Fusion(3, **F64, rngs=rngs()), slow.fuse, small, large)

    @pytest.mark.parametrize("shape", [(33, 33), (65, 33)])
    def test_patch_attention(self, shape: tuple[int, int]):
        module = PatchAttention(2, **F64, rngs=rngs())
        check(module, slow.compare_patches, 3 * random(2, *shape, 2))

    def test_network(self):
        # With two channels, layer normalisation would leave only the sign of their difference.
        module: Any = scatter(MSFormer(3, **F64, rngs=rngs()))
        x, p = random(1, 9, 11, 3), get_values(module)
        for actual, expected in zip(nnx.jit(module)(x), slow.apply_network(x, p), strict=True):
            np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-9)

    def test_the_patches_are_those_of_the_normalised_logits(self):
        module: Any = scatter(MSFormer(2, **F64, rngs=rngs()))
        x, p = 5 + 3 * random(1, 65, 33, 2), get_values(module)
        expected = slow.compare_patches(slow.normalise_batch(x, p["norm"]), p["patches"])
        actual = nnx.jit(MSFormer.compare_patches)(module, jnp.asarray(x))
        np.testing.assert_allclose(actual, expected, rtol=1e-10)

    def test_context_of_uniform_keys_is_the_mean_of_the_values(self):
        module: Any = EfficientAttention(4, **F64, rngs=rngs())
        module.keys.kernel[...] = jnp.zeros((4, 4))
        x = jnp.asarray(random(1, 3, 5, 4))
        _, context = module(x)
        mean = jnp.mean(module.values(x), (1, 2))
        np.testing.assert_allclose(context[0], np.tile(mean, (4, 1)), rtol=1e-12)


def test_shuffle_pixels_puts_channels_in_the_order_row_column_channel():
    x = jnp.arange(8).reshape(1, 1, 1, 8)
    np.testing.assert_array_equal(shuffle_pixels(x)[0], [[[0, 1], [2, 3]], [[4, 5], [6, 7]]])


def shapes_of(channels: int, build: Callable[..., Any] = MSFormer) -> nnx.State:
    return nnx.state(nnx.eval_shape(lambda: build(channels, rngs=rngs())), nnx.Param)


def test_parameter_count():
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes_of(100)))
    block = 2 * 200 + 4 * 10_100 + 40_400 + 4_000 + 800 + 40_100
    assert count == 2 * (2_800 + 200 + 2 * (block + 200)) + 40_000 + 20_000 + 200 + 10_240_100
    assert count == PARAMETERS


@pytest.mark.parametrize("size", [33, 65, 257])
def test_shapes(size: int):
    def run(images: jax.Array) -> Any:
        module = MSFormer(100, rngs=rngs())
        small, large = module.small(images)[0], module.large(images)[0]
        logits, *contexts = module(images)
        return small, large, logits, contexts, module.compare_patches(logits)

    found = jax.eval_shape(run, jnp.zeros((2, size, size, 3)))
    patches, half = ((size - 1) // 32) ** 2, size // 2 + 1
    assert [leaf.shape for leaf in jax.tree.leaves(found)] == [
        (2, size, size, 100),
        (2, half, half, 100),
        (2, size, size, 100),
        (2, 100, 100),
        (2, 100, 100),
        (2, patches, patches),
    ]


def test_initial_parameters_are_pytorch_defaults():
    module = jax.jit(lambda key: nnx.state(build_from_pool(_build, key)))(jax.random.key(3))
    fans = {
        ("small", "embedding"): 27,
        ("large", "embedding"): 27,
        ("expand",): 8,  # in the feed-forward network and in the fusion
        ("depthwise",): 9,
        ("reduce",): 32,
        ("mix",): 16,
        ("project",): 32 * 32 * 8,
        **{(name,): 8 for name in ("keys", "queries", "values", "reprojection")},
    }
    checked = 0
    for path, leaf in jax.tree_util.tree_leaves_with_path(nnx.to_pure_dict(module)):
        *names, last = (str(getattr(entry, "key", entry)) for entry in path)
        found = [fan for end, fan in fans.items() if tuple(names[-len(end) :]) == end]
        if not found:
            np.testing.assert_array_equal(leaf, 1 if last == "scale" else 0)
            assert "norm" in names[-1] or names[-2] == "block_norms"
            continue
        bound = found[0] ** -0.5
        assert np.max(np.abs(leaf)) <= bound
        # The standard deviation of n uniform numbers has a relative error of 0.45/√n.
        assert abs(np.std(leaf) * math.sqrt(3) / bound - 1) < 5 * 0.45 / math.sqrt(leaf.size)
        checked += 1
    assert checked == 2 * (2 + 2 * (8 + 6)) + 2 + 2


def _build(rngs: nnx.Rngs) -> MSFormer:
    return MSFormer(8, rngs=rngs)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_results_have_the_dtype_of_the_activations(dtype: str):
    def run(images: jax.Array) -> Any:
        module = MSFormer(4, dtype=dtype, rngs=rngs())
        logits, *contexts = module(images)
        return logits, *contexts, module.compare_patches(logits)

    results = jax.eval_shape(run, jnp.zeros((1, 33, 33, 3)))
    assert [result.dtype.name for result in results] == [dtype, *3 * ["float32"]]


def test_mapped_networks_use_no_grouped_convolution():
    """With kernels that vary over a batch, ``lax.conv`` would become a slow grouped convolution."""

    def build(key: jax.Array) -> nnx.State:
        return nnx.state(MSFormer(4, implementation="xla", rngs=nnx.Rngs(params=key)), nnx.Param)

    graph = nnx.split(nnx.eval_shape(lambda: MSFormer(4, implementation="xla", rngs=rngs())))[0]
    keys, images = jax.random.split(jax.random.key(0), 2), jnp.zeros((2, 1, 33, 33, 3))

    def run(state: Any, image: jax.Array) -> Any:
        module = nnx.merge(graph, state)
        logits, *contexts = module(image)
        return logits, contexts, module.compare_patches(logits)

    states = jax.eval_shape(jax.vmap(build), keys)
    program = jax.jit(jax.vmap(run)).lower(states, images).as_text()
    assert "dot_general" in program
    assert "convolution" not in program


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        MSFormer(0, rngs=rngs())
    with pytest.raises(TypeError, match="random streams"):
        MSFormer(4, rngs=0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="dtype"):
        MSFormer(4, dtype="int8", rngs=rngs())
