"""The GPU's deformable convolution: its input's gradient, gathered in windows and added beyond."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels
from s3net_kernels.deform_conv2d.arg_specs import spec
from s3net_kernels.deform_conv2d.pallas_input_grad import find_reach
from s3net_kernels.deform_conv2d.pallas_planes import to_planes
from tests.kernels import base

pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")

CALL = spec((2, 9, 11, 5), 6, bias=True)
NEAR = [
    ((0, 1), (0, 1)),
    ((-1, 1), (-1, 1)),
    ((-1, 0), (0, 1)),
    ((0, 1), (-1, 0)),
    ((-0.3, 0.3), (0, 0)),
    ((0.2, 0.4), (-1, -0.5)),
    ((0, 0), (0, 0)),
    ((0, 1), (0, 1)),
    ((-1, 1), (0, 1)),
]
"""Of each tap, between what its offsets (dy, dx) lie."""
WINDOWS = [
    (0, 1, 0, 1),
    (-1, 1, -1, 1),
    (-1, 0, 0, 1),
    (0, 1, -1, 0),
    (-1, 1, 0, 1),
    (0, 1, -1, 0),
    (0, 1, 0, 1),
    (0, 1, 0, 1),
    (-1, 1, 0, 1),
]


def _args():
    """A call whose first image stays near, but for one pixel, and whose second reaches far."""
    x, offset, *rest = CALL.make()
    draw = np.random.default_rng(0)
    for tap, ranges in enumerate(NEAR):
        for axis, (low, high) in enumerate(ranges):
            offset[0, ..., 2 * tap + axis] = draw.uniform(low, high, offset.shape[1:3])
    offset[0, 4, 5, 14:16] = -2.5, 3.25
    offset[0, 7, 2, 4] = 0.5
    return x, offset, *rest


@functools.cache
def _compile():
    return base.value_and_gradients(base.public(CALL, "pallas"), xla_backend_optimization_level=0)


def _run(args, cotangent):
    with s3net_kernels.config(interpret=True):
        return _compile()(cotangent, *args)


def test_reach():
    """Windows hold what most samples of a tap need; images that they don't serve are far."""
    _, offset, mask, *_ = _args()
    with s3net_kernels.config(interpret=True):
        reach = find_reach(to_planes(jnp.asarray(offset), jnp.asarray(mask)))
    assert reach.far.tolist() == [0, 1]
    assert [tuple(window) for window in reach.windows[0].tolist()] == WINDOWS


@pytest.mark.slow
def test_near_and_far():
    """Every sample counts once, gathered, beyond its window, or scattered."""
    args = _args()
    cotangent = base.make_cotangent(CALL, args)
    base.assert_close(CALL, _run(args, cotangent), base.reference(CALL, cotangent, args), "float32")


@pytest.mark.slow
def test_windows_of_images_of_their_own():
    """Under ``vmap`` every image has its own windows and weights."""
    several = [_args(), CALL.make(1)]
    cotangents = np.stack([base.make_cotangent(CALL, args) for args in several])
    with s3net_kernels.config(interpret=True):
        function = jax.vmap(base.public(CALL, "pallas"))
        run = base.value_and_gradients(function, xla_backend_optimization_level=0)
        actual = run(cotangents, *(np.stack(each) for each in zip(*several, strict=True)))
    for n, args in enumerate(several):
        expected = base.reference(CALL, cotangents[n], args)
        base.assert_close(CALL, [a[n] for a in actual], expected, "float32")


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e30, -3e38])
def test_endless_offsets(value):
    """Coordinates beyond any integer lie outside the image."""
    x, offset, *rest = _args()
    near = offset.copy()
    offset[:, ::3], near[:, ::3] = value, np.sign(value) * 1000
    cotangent = base.make_cotangent(CALL, (x, offset, *rest))
    actual = _run((x, offset, *rest), cotangent)
    expected = _run((x, near, *rest), cotangent)
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_nan_offset():
    """A NaN among the offsets shows in its own pixel, and nowhere else."""
    x, offset, *rest = _args()
    offset[0, 4, 2, 7] = np.nan
    with s3net_kernels.config(interpret=True):
        y = np.asarray(jax.jit(base.public(CALL, "pallas"))(x, offset, *rest))
    bad = np.asarray(np.isnan(y).any(-1))
    assert bad[0, 4, 2] and bad.sum() == 1


@pytest.mark.slow
def test_differentiated_twice():
    """The kernels hand second derivatives to the plain implementation."""
    args = _args()

    def penalty(implementation, *args):
        def total(*args):
            return jnp.sum(jnp.sin(base.public(CALL, implementation)(*args)))

        return sum(jnp.sum(jnp.square(slope)) for slope in jax.grad(total, (0, 1, 2, 3))(*args))

    with s3net_kernels.config(interpret=True):
        actual = jax.jit(jax.grad(lambda *a: penalty("pallas", *a), (0, 1, 2, 3)))(*args)
    expected = jax.jit(jax.grad(lambda *a: penalty("xla", *a), (0, 1, 2, 3)))(*args)
    for a, e in zip(actual, expected, strict=True):
        assert base.relative_error(a, e) < base.tolerance("float32", CALL.reduced * 64)
