"""Every implementation gives the same results at the limits of valid arguments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

import s3net_kernels as k
from tests.kernels import base

ALL = ["reference", *base.list_available("linear")]


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("implementation", base.list_available("depthwise_conv2d"))
@pytest.mark.parametrize("dilation", [4, 100_000, 2**60])
def test_a_dilation_beyond_the_image_leaves_the_centre_tap(implementation, dilation):
    x, w = normal(1, 4, 3, 2), normal(3, 5, 2, seed=1)
    expected = x * w[1, 2]
    y = k.depthwise_conv2d(x, w, dilation=dilation, implementation=implementation)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    both = k.inception_depthwise(
        x, [w, w], [jnp.zeros(2)] * 2, dilations=[dilation] * 2, implementation=implementation
    )
    np.testing.assert_allclose(both, jnp.concatenate((expected, expected), -1), rtol=1e-6)


@pytest.mark.parametrize("implementation", ALL)
def test_a_residual_wider_than_x_is_added_as_it_is(implementation):
    """In bfloat16 1000.7 is 1000, which the product takes away."""
    x = jnp.full((4, 1), 1000, jnp.bfloat16)
    y, same = k.linear(
        x,
        -jnp.ones((1, 1)),
        None,
        jnp.full((4, 1), 1000.7),
        through=True,
        implementation=implementation,
    )
    assert y.dtype == same.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(np.float32), 0.7, rtol=2**-8)
    image, one = x.reshape(1, 2, 2, 1), jnp.ones((1, 1, 1))
    y = k.gated_inception(
        image,
        one,
        jnp.zeros(1),
        [one],
        [jnp.zeros(1)],
        jnp.zeros((1, 1)),
        -jnp.ones(1),
        jnp.full((1, 2, 2, 1), 1000.7),
        dilations=[1],
        implementation=implementation,
    )
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(y.astype(np.float32), 0.7, rtol=2**-8)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ALL)
def test_slopes_at_the_last_pixel_of_a_continued_edge(implementation):
    """Beyond the last pixel is the last once more: level there, not falling to zero."""
    x, coords = normal(1, 3, 3, 2), jnp.full((1, 1, 1, 2), 2.0)

    def total(coords):
        y = k.bilinear_sample(x, coords, boundary="edge", implementation=implementation)
        return jnp.sum(y)

    np.testing.assert_array_equal(jax.grad(total)(coords), 0)


@pytest.mark.parametrize("implementation", ALL)
def test_labels_wider_than_32_bits_stay_what_they_are(implementation, x64):
    logits = normal(1, 2, 2, 3)
    outside, inside = np.full((1, 2, 2), 2**32 + 1), np.full((1, 2, 2), 1)
    losses = [
        k.softmax_losses(logits, labels, implementation=implementation).cross_entropy
        for labels in (outside, -outside, outside.astype(np.uint64), inside)
    ]
    expected = jnp.sum(jax.nn.logsumexp(logits, -1))
    np.testing.assert_allclose(losses[:3], expected, rtol=1e-6)
    np.testing.assert_allclose(losses[3], expected - jnp.sum(logits[..., 1]), rtol=1e-6)


def test_products_of_bfloat16_are_summed_in_float32():
    """Factors that bfloat16 holds exactly: nothing is rounded, in the gradients neither."""
    random = np.random.default_rng(0)
    x, w, g = (
        jnp.asarray(random.integers(-8, 9, shape), jnp.float32)
        for shape in ((9, 7), (7, 5), (9, 5))
    )
    y, pull = jax.vjp(lambda x, w: k.linear(x, w, precision="bfloat16", implementation="xla"), x, w)
    for found, expected in zip((y, *pull(g)), (x @ w, g @ w.T, x.T @ g), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("promotion", ["standard", "strict"])
def test_bfloat16_under_strict_promotion(promotion):
    with jax.numpy_dtype_promotion(promotion):
        logits = normal(1, 2, 2, 3).astype(jnp.bfloat16)
        assert k.softmax_losses(logits).cross_entropy.dtype == jnp.float32


def test_no_channels_are_left_to_plain_jax():
    assert k.linear(jnp.ones((3, 0)), jnp.ones((0, 2))).tolist() == [[0, 0]] * 3
    assert k.batch_norm(jnp.ones((3, 0)), jnp.ones(0), jnp.ones(0)).shape == (3, 0)


def test_working_memory_is_no_number():
    """``jax_debug_nans`` looks at every floating point result, of which a kernel's working
    memory is none: what is left in it may be anything."""
    for operator in set(k.OPERATORS) - {"linear_norm"}:  # which is two of them
        shapes = base.module(operator, "arg_specs")
        # With a bias: the gradient of none is not read, and a number.
        spec = max(shapes.SPECS or shapes.BENCHMARKS, key=lambda s: -s.args.count(None))
        if "native" not in base.list_available(operator):
            pytest.skip("native is not available")
        args = spec.make_shapes()
        value = jax.eval_shape(base.public(spec, "native"), *args)
        jaxpr = jax.make_jaxpr(base.value_and_gradients(base.public(spec, "native")))(value, *args)
        assert not unread_floats(jaxpr.jaxpr), operator


def unread_floats(jaxpr) -> list:
    """Floating point results of foreign calls that nothing reads."""
    read = {id(v) for equation in jaxpr.eqns for v in equation.invars}
    read |= {id(v) for v in jaxpr.outvars}
    found = []
    for equation in jaxpr.eqns:
        for inner in jaxprs_in_params(equation.params):
            found += unread_floats(inner)
        if equation.primitive.name == "ffi_call":
            results = [v for v in equation.outvars if id(v) not in read]
            found += [v for v in results if jnp.issubdtype(v.aval.dtype, jnp.floating)]
    return found


def test_errors_name_what_is_missing():
    x, w = jnp.ones((1, 3, 3, 2)), jnp.ones((3, 3, 2))
    with pytest.raises(TypeError, match="local_b is None"):
        k.gated_inception(x, w, None, [w], [jnp.ones(2)], w[0, :2], jnp.ones(2), dilations=[1])  # type: ignore
    with pytest.raises(TypeError, match="image holds uint8"):
        k.sobel(jnp.ones((3, 3, 1), jnp.uint8))
    with pytest.raises(ValueError, match=r"expected \(\.\.\., H, W, C\)"):
        k.sobel(jnp.ones(3))
