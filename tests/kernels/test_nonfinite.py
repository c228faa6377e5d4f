"""NaN and infinity: where they go is the same for every implementation.

The rule, which docs/kernels.md states: what is outside the image is zeros, and a zero times an
infinite or NaN factor is NaN; a pixel that is NaN or infinite reaches the outputs whose windows
(or sample) include it, and no other.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels as kernels
from tests.kernels import base

SPECS = {
    "depthwise_conv2d": (2, 3),  # kernels larger than the image, and a wide one
    "inception_depthwise": (0, 1),
    "deform_conv2d": (1, 2),
    "bilinear_sample": (1, 2),
    "affine_warp": (1,),
    "linear": (1, 2),
    "batch_norm": (1,),
    "conv2d": (1,),
    "gated_inception": (1,),
}
"""Numbers of the argument specs of each operator that are tried."""

CASES = [
    pytest.param(base.specs(operator)[n], id=f"{operator}-{n}")
    for operator, numbers in SPECS.items()
    for n in numbers
]


@functools.cache
def compile_call(spec, implementation):
    quick = {"xla_backend_optimization_level": 0}  # compiling takes longer than running
    return base.value_and_gradients(base.public(spec, implementation), **quick)


def find_broken(results):
    """Where numbers are not finite. Infinity or NaN depends on the order of a sum's terms."""
    return [~np.isfinite(r) for r in results]


def places(shape):
    """The first element, and one in the middle."""
    return {(0,) * len(shape), tuple(n // 2 for n in shape)}


def list_poisoned(spec):
    """(which leaf, place, value) for the cotangent and every argument."""
    leaves = jax.tree.leaves(spec.make())
    shapes = [jax.eval_shape(base.public(spec, "xla"), *spec.make()).shape]
    shapes += [leaf.shape for leaf in leaves]
    for n, shape in enumerate(shapes):
        for place in sorted(places(shape)):
            for value in (np.nan, np.inf) if place == (0,) * len(shape) else (np.nan,):
                yield n, place, value


@functools.cache
def run(spec, implementation, leaf, place, value):
    args = spec.make()
    leaves, tree = jax.tree.flatten((base.make_cotangent(spec, args), args))
    leaves = [np.array(one) for one in leaves]
    leaves[leaf][place] = value
    cotangent, args = jax.tree.unflatten(tree, leaves)
    return [np.asarray(r) for r in compile_call(spec, implementation)(cotangent, *args)]


def is_coordinate(spec, leaf):
    """Whether an input is coordinates, whose finite values belong to other pixels."""
    args = jax.tree.leaves(spec.args)
    return leaf > 0 and args[leaf - 1].draw in ("offset", "near", "coords", "matrix")


def is_parameter(spec, leaf):
    """Whether an input is a parameter, which every pixel has a part in."""
    owners = [n for n, arg in enumerate(spec.args) for _ in jax.tree.leaves(arg)]
    return leaf > 0 and (owners[leaf - 1] in spec.parameters or owners[leaf - 1] > 2)


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ["xla", "native"])
@pytest.mark.parametrize("spec", CASES)
def test_values_and_gradients(spec, implementation):
    if implementation not in base.list_available(spec.operator):
        pytest.skip("native is not available")
    for leaf, place, value in list_poisoned(spec):
        actual = find_broken(run(spec, implementation, leaf, place, value))
        expected = find_broken(run(spec, "reference", leaf, place, value))
        where = f"input {leaf} at {place} is {value}"
        np.testing.assert_array_equal(actual[0], expected[0], err_msg=f"value, {where}")
        # What a gradient depends on shows where it moves with two finite values.
        finite = [run(spec, "reference", leaf, place, v) for v in (0.7, -1.9)]
        for n, (a, e, one, two) in enumerate(zip(actual, expected, *finite, strict=True)):
            # Rounding moves everything a sum of squares touches: what moves by less is no term.
            moved = np.abs(one - two) > 1e-4 * (np.abs(one) + np.abs(two)).max()
            if not is_coordinate(spec, leaf):
                assert np.all(a[moved]), f"gradient {n}, {where}: it is lost"
            if n == 1 and not is_parameter(spec, leaf):  # of x: no other pixel's
                spread = a & ~e & ~moved
                assert not np.any(spread), f"gradient {n}, {where}: {np.sum(spread)} others"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize("operator", ["depthwise_conv2d", "deform_conv2d", "conv2d"])
def test_values_of_the_gpu(operator):
    """By the Pallas kernels, in interpret mode."""
    spec = base.specs(operator)[2]
    args = spec.make()
    with kernels.config(interpret=True):
        call = jax.jit(base.public(spec, "pallas"))
        leaves, tree = jax.tree.flatten(args)
        for n, leaf in enumerate(leaves):
            for value in (np.nan, np.inf):
                changed = [np.array(one) for one in leaves]
                changed[n][(0,) * leaf.ndim] = value
                actual, expected = (
                    find_broken([np.asarray(f(*jax.tree.unflatten(tree, changed)))])[0]
                    for f in (call, base.public(spec, "reference"))
                )
                np.testing.assert_array_equal(actual, expected, err_msg=f"input {n} is {value}")


ALL = ["reference", *base.list_available("deform_conv2d")]


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ALL)
def test_a_sample_outside_takes_no_part(implementation):
    """An image of nothing but NaN does not reach a sample that is outside of it."""
    x = jnp.full((1, 3, 4, 2), jnp.nan)
    coords = jnp.array([[[[-1.5, 1.0], [1.0, 4.5], [9.0, -9.0], [jnp.inf, 0.0], [-0.5, 1.5]]]])
    y, pull = jax.vjp(
        lambda x, c: kernels.bilinear_sample(x, c, implementation=implementation), x, coords
    )
    assert np.array_equal(np.isnan(y[0, 0, :, 0]), [False, False, False, False, True])
    assert np.array_equal(y[0, 0, :4], np.zeros((4, 2)))
    # A NaN gradient of samples outside reaches no pixel.
    dx, _ = pull(jnp.zeros_like(y).at[:, :, :4].set(jnp.nan))
    assert np.array_equal(dx, np.zeros(x.shape))


@pytest.mark.slow
@pytest.mark.parametrize("implementation", ALL)
@pytest.mark.parametrize("boundary", ["zeros", "edge"])
def test_a_coordinate_that_is_nan_gives_nan(implementation, boundary):
    x = jnp.ones((1, 3, 4, 2))
    coords = jnp.array([[[[jnp.nan, 1.0], [1.0, jnp.nan], [jnp.nan, 99.0], [0.5, 0.5]]]])
    y = kernels.bilinear_sample(x, coords, boundary=boundary, implementation=implementation)
    assert np.array_equal(np.isnan(y[0, 0, :, 0]), [True, True, True, False])


@pytest.mark.parametrize("implementation", ALL)
def test_offsets_of_nan_give_nan_at_their_pixel(implementation):
    x, w = jnp.ones((1, 4, 4, 2)), jnp.ones((3, 3, 2, 3))
    offset = jnp.zeros((1, 4, 4, 18)).at[0, 1, 2, 7].set(jnp.nan)
    y = kernels.deform_conv2d(x, offset, jnp.ones((1, 4, 4, 9)), w, implementation=implementation)
    expected = np.zeros((1, 4, 4, 3), bool)
    expected[0, 1, 2] = True
    np.testing.assert_array_equal(np.isnan(y), expected)
