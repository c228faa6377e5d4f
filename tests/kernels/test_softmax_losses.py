"""Losses of a softmax map: every implementation against the reference in float64."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels
from s3net_kernels.operands import SoftmaxLosses
from s3net_kernels.softmax_losses import reference
from s3net_kernels.softmax_losses.arg_specs import SHAPES
from s3net_kernels.testing import tolerance
from tests.kernels import base

IMPLEMENTATIONS = ["xla", "native"]
CASES = [
    (shape, given, weighted, spatial)
    for shape in SHAPES
    for given, weighted, spatial in (
        (False, False, True),
        (True, True, True),
        (True, True, False),
        (False, False, False),
    )
]


def make(shape, given, weighted, seed=0):
    random = np.random.default_rng(seed)
    logits = random.normal(size=shape) * 3
    labels = random.integers(0, shape[-1], shape[:3]) if given else None
    weight = random.random(shape[:3]) if weighted else None
    return logits, labels, weight


def total(run, scale, logits, labels, weight, spatial, **options):
    ce, edges, used = run(logits, labels, weight, spatial=spatial, **options)
    return scale[0] * ce + scale[1] * edges, (ce, edges, used)


def run_reference(logits, labels, weight, *, spatial, dtype):
    """The reference, in ``dtype``."""
    return reference.softmax_losses(SoftmaxLosses(logits, labels, weight, spatial=spatial), dtype)


@functools.cache
def value_and_gradient(implementation, spatial):
    """(logits, labels, weight) -> value and gradient, compiled; in float64 the reference."""
    options: dict[str, Any] = {"implementation": implementation}
    run, quick = s3net_kernels.softmax_losses, {}
    if implementation == "reference":
        run, options = run_reference, {"dtype": jnp.float64}
        quick = {"xla_backend_optimization_level": 0}  # compiling takes longer than running

    def function(logits, labels, weight):
        scale = jnp.asarray([0.7, 0.3])
        return total(run, scale, logits, labels, weight, spatial, **options)

    return jax.jit(jax.value_and_grad(function, has_aux=True), compiler_options=quick)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize(("shape", "given", "weighted", "spatial"), CASES)
def test_values_and_gradient(implementation, dtype, shape, given, weighted, spatial):
    logits, *others = make(shape, given, weighted)
    logits = jnp.asarray(logits, dtype)
    (_, expected), slope = value_and_gradient("reference", spatial)(
        logits.astype("float64"), *others
    )
    (_, actual), gradient = value_and_gradient(implementation, spatial)(logits, *others)
    allowed = tolerance(dtype, int(np.prod(shape)))
    for a, e in zip(actual[:2], expected[:2], strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, e, rtol=allowed)
    np.testing.assert_array_equal(actual[2], expected[2])
    assert gradient.dtype == dtype
    if spatial and dtype == "float32":
        # |X − Y| has a kink where X = Y: rounding decides the sign of a pixel near one.
        off = np.abs(gradient - slope) > allowed * np.max(np.abs(slope))
        assert np.mean(off) < 1e-3
    else:
        assert base.relative_error(gradient, slope) < allowed


@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize(("shape", "given", "weighted", "spatial"), [CASES[0], *CASES[4:8]])
def test_values_and_gradient_of_the_gpu(shape, given, weighted, spatial):
    """By the Pallas kernels, in interpret mode."""
    logits, labels, weight = make(shape, given, weighted)
    args = jnp.asarray(logits, jnp.float32), labels, weight

    def run(implementation):
        def function(z):
            options = {"spatial": spatial, "implementation": implementation}
            return total(s3net_kernels.softmax_losses, (0.7, 0.3), z, *args[1:], **options)

        quick = {"xla_backend_optimization_level": 0}
        return jax.jit(jax.value_and_grad(function, has_aux=True), compiler_options=quick)(args[0])

    (_, expected), slope = run("xla")
    with s3net_kernels.config(interpret=True):
        (_, actual), gradient = run("pallas")
    allowed = tolerance("float32", int(np.prod(shape)))
    np.testing.assert_allclose(actual[:2], expected[:2], rtol=allowed)
    np.testing.assert_array_equal(actual[2], expected[2])
    assert base.relative_error(gradient, slope) < allowed


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_low_precision(implementation):
    args = make((1, 33, 9, 16), False, False)
    logits = jnp.asarray(args[0], jnp.bfloat16)
    ce, edges, labels = s3net_kernels.softmax_losses(
        logits, spatial=True, implementation=implementation
    )
    expected = run_reference(logits, None, None, spatial=True, dtype=jnp.float32)
    np.testing.assert_allclose([ce, edges], expected[:2], rtol=1e-5)
    np.testing.assert_array_equal(labels, expected[2])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("given", [False, True])
def test_vmap(implementation, given):
    every = [make((2, 35, 7, 21), given, True, seed) for seed in range(3)]
    stacked: list[Any] = [None if e[0] is None else jnp.stack(e) for e in zip(*every, strict=True)]
    stacked[0] = stacked[0].astype(jnp.float32)

    def run(logits, labels, weight):
        def function(z):
            return total(
                s3net_kernels.softmax_losses,
                (0.7, 0.3),
                z,
                labels,
                weight,
                True,
                implementation=implementation,
            )

        return jax.value_and_grad(function, has_aux=True)(logits)

    together = jax.jit(jax.vmap(run, in_axes=(0, 0 if given else None, 0)))(*stacked)
    for n in range(3):
        alone = jax.jit(run)(*(None if s is None else s[n] for s in stacked))
        for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(a[n], b, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("implementation", ["reference", *IMPLEMENTATIONS])
def test_first_of_equal_logits_and_unknown_labels(implementation):
    logits = jnp.zeros((1, 2, 20, 19)).at[..., 5].set(1.0).at[..., 18].set(1.0)
    result = s3net_kernels.softmax_losses(logits, implementation=implementation)
    assert np.all(result.labels == 5)
    nobody = jnp.full((1, 2, 20), 19)
    result = s3net_kernels.softmax_losses(logits, nobody, implementation=implementation)
    expected = 40 * np.log(17 + 2 * np.e)
    np.testing.assert_allclose(result.cross_entropy, expected, rtol=1e-5)


def test_errors():
    logits = np.zeros((1, 1, 4, 3), np.float32)
    with pytest.raises(ValueError, match="at least 2 pixels a side"):
        s3net_kernels.softmax_losses(logits, spatial=True)
    with pytest.raises(ValueError, match=r"labels has shape \(4,\)"):
        s3net_kernels.softmax_losses(logits, np.zeros(4, int))
    with pytest.raises(TypeError, match="must be integer"):
        s3net_kernels.softmax_losses(logits, np.zeros((1, 1, 4)))


INFINITE = ("reference", *IMPLEMENTATIONS, "pallas")


def infinite(implementation, logits, labels=None, **options):
    """Value and gradient, compiled, and by Pallas in interpret mode."""

    def run(z):
        losses = s3net_kernels.softmax_losses(z, labels, implementation=implementation, **options)
        return losses.cross_entropy + losses.spatial, losses

    with s3net_kernels.config(interpret=implementation == "pallas"):
        return jax.jit(jax.value_and_grad(run, has_aux=True))(logits)


@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize("implementation", INFINITE)
@pytest.mark.parametrize("given", [False, True])
def test_minus_infinity_is_a_probability_of_zero(implementation, given):
    """A class that nobody may take: the same as a map without it."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(1, 6, 7, 5)).astype(np.float32)
    labels = jnp.asarray(random.integers(0, 4, (1, 6, 7))) if given else None
    masked = jnp.asarray(logits).at[..., 4].set(-jnp.inf)
    (value, losses), gradient = infinite(implementation, masked, labels, spatial=True)
    (expected, fewer), slope = infinite(
        "reference", jnp.asarray(logits[..., :4]), labels, spatial=True
    )
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_array_equal(losses.labels, fewer.labels)
    np.testing.assert_allclose(gradient[..., :4], slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(gradient[..., 4], 0)


@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize("implementation", INFINITE)
def test_a_label_of_probability_zero_costs_infinity(implementation):
    logits = jnp.zeros((1, 2, 2, 3)).at[0, 0, 0, 2].set(-jnp.inf)
    labels = jnp.full((1, 2, 2), 2)
    (value, _), gradient = infinite(implementation, logits, labels)
    assert value == np.inf
    third = 1 / 3
    expected = np.full((1, 2, 2, 3), third) - np.eye(3)[2]
    expected[0, 0, 0] = (0.5, 0.5, -1)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize("implementation", INFINITE)
@pytest.mark.parametrize("row", [(-np.inf,) * 3, (0, np.inf, 1), (0, np.nan, 1)])
def test_a_pixel_without_a_softmax(implementation, row):
    """Its own gradient is NaN, that of the other pixels is not."""
    logits = jnp.zeros((1, 2, 2, 3)).at[0, 1, 1].set(jnp.asarray(row))
    labels = jnp.zeros((1, 2, 2), int)
    (value, _), gradient = infinite(implementation, logits, labels)
    assert not np.isfinite(value)
    assert np.isnan(gradient[0, 1, 1]).any()
    others = np.array([[True, True], [True, False]])
    assert np.isfinite(gradient[0][others]).all()
