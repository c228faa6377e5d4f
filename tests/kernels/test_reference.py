"""The references against SciPy and ``lax.conv``: values, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from scipy import ndimage

from s3net_kernels import OPERATORS, bilinear_sample, deform_conv2d, depthwise_conv2d
from tests.kernels import base

pytestmark = pytest.mark.usefixtures("x64")


@pytest.mark.parametrize("spec", base.specs("depthwise_conv2d")[:6], ids=str)
def test_depthwise(spec):
    x, w, b = spec.make(dtype="float64")
    dilation = spec.options["dilation"]
    spread = np.zeros(tuple((k - 1) * dilation + 1 for k in w.shape[:2]) + w.shape[2:])
    spread[::dilation, ::dilation] = w
    expected = np.zeros_like(x)
    for n, c in np.ndindex(x.shape[0], x.shape[3]):
        expected[n, :, :, c] = ndimage.correlate(x[n, :, :, c], spread[..., c], mode="constant")
    if b is not None:
        expected += b
    actual = depthwise_conv2d(x, w, b, dilation=dilation, implementation="reference")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec", base.specs("bilinear_sample")[:6], ids=str)
def test_bilinear(spec):
    x, coords = spec.make(dtype="float64")
    mode = {"zeros": "grid-constant", "edge": "nearest"}[spec.options["boundary"]]
    actual = bilinear_sample(x, coords, **spec.options, implementation="reference")
    for n, c in np.ndindex(x.shape[0], x.shape[3]):
        expected = ndimage.map_coordinates(
            x[n, :, :, c], np.moveaxis(coords[n], -1, 0), order=1, mode=mode
        )
        np.testing.assert_allclose(actual[n, :, :, c], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("spec", base.specs("deform_conv2d")[:3], ids=str)
def test_deform(spec):
    x, offset, mask, w, b = spec.make(dtype="float64")
    kh, kw = w.shape[:2]
    rows, columns = np.mgrid[: x.shape[1], : x.shape[2]]
    expected = np.zeros((*x.shape[:3], w.shape[3])) + (0 if b is None else b)
    for n, i, j, c in np.ndindex(x.shape[0], kh, kw, x.shape[3]):
        t = i * kw + j
        y = rows - kh // 2 + i + offset[n, :, :, 2 * t]
        z = columns - kw // 2 + j + offset[n, :, :, 2 * t + 1]
        value = ndimage.map_coordinates(x[n, :, :, c], [y, z], order=1, mode="grid-constant")
        expected[n] += (value * mask[n, :, :, t])[..., None] * w[i, j, c]
    actual = deform_conv2d(x, offset, mask, w, b, implementation="reference")
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("implementation", ["reference", *base.list_available("deform_conv2d")])
def test_deform_without_offset_is_a_convolution(implementation):
    """Whole coordinates, where interpolation has its kinks."""
    random = np.random.default_rng(0)
    x, w = random.normal(size=(2, 6, 5, 3)), random.normal(size=(3, 3, 3, 4))
    offset, mask = np.zeros((2, 6, 5, 18)), np.ones((2, 6, 5, 9))
    actual = jax.jit(lambda x, w: deform_conv2d(x, offset, mask, w, implementation=implementation))(
        x, w
    )
    layout = ("NHWC", "HWIO", "NHWC")
    expected = lax.conv_general_dilated(
        jnp.asarray(x), jnp.asarray(w), (1, 1), "SAME", dimension_numbers=layout
    )
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("implementation", ["reference", *base.list_available("bilinear_sample")])
def test_bilinear_derivative_at_whole_coordinates(implementation):
    """It is the one towards larger coordinates."""
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 2))
    y, z = np.mgrid[-1:5, -1:6].astype(float)
    _check_one_sided(
        lambda c: bilinear_sample(x, c, implementation=implementation), np.stack([y, z], -1)[None]
    )


@pytest.mark.parametrize("implementation", ["reference", *base.list_available("deform_conv2d")])
def test_deform_derivative_at_whole_coordinates(implementation):
    """It is the one towards larger coordinates."""
    random = np.random.default_rng(0)
    x, mask, w = random.normal(size=(1, 4, 5, 2)), np.ones((1, 4, 5, 1)), np.ones((1, 1, 2, 1))
    offset = random.integers(-2, 3, (1, 4, 5, 2)).astype(float)
    _check_one_sided(lambda o: deform_conv2d(x, o, mask, w, implementation=implementation), offset)


def _check_one_sided(function, coords):
    """Gradients against forward differences, which are exact for a piecewise linear function."""
    value = jax.jit(lambda c: function(c).sum())
    actual, step = jax.jit(jax.grad(value))(coords), 1e-4
    for axis in (0, 1):
        shifted = coords.copy()
        shifted[..., axis] += step
        difference = (value(shifted) - value(coords)) / step
        np.testing.assert_allclose(actual[..., axis].sum(), difference, rtol=0, atol=1e-9)


def test_coordinates_far_outside():
    """Infinite and huge coordinates are outside; NaN stays NaN."""
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2))
    far = np.array([[[[np.inf, 0.0], [-1e30, 1.0], [0.0, 1e12], [np.nan, 1.0]]]])
    for implementation in base.list_available("bilinear_sample"):
        zeros = bilinear_sample(x, far, implementation=implementation)[0, 0]
        edge = bilinear_sample(x, far, boundary="edge", implementation=implementation)[0, 0]
        np.testing.assert_array_equal(zeros[:3], 0)
        np.testing.assert_array_equal(edge[:3], [x[0, 2, 0], x[0, 0, 1], x[0, 0, 3]])
        assert np.isnan(zeros[3]).all() and np.isnan(edge[3]).all()


@pytest.mark.parametrize("operator", [name for name in OPERATORS if base.specs(name)])
def test_forward_mode_is_the_transpose_of_reverse_mode(operator):
    spec = base.specs(operator)[1]
    function = base.public(spec, "reference")
    args, tangents = (spec.make(seed=n, dtype="float64") for n in (0, 1))
    _, tangent = jax.jit(lambda *pair: jax.jvp(function, *pair))(args, tangents)
    _, *gradients = base.value_and_gradients(function)(tangent, *args)
    expected = sum(map(np.vdot, gradients, jax.tree.leaves(tangents)))
    assert expected > 0
    np.testing.assert_allclose(np.vdot(tangent, tangent), expected, rtol=1e-12)
