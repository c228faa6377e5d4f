"""Every implementation of every operator against the reference in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels
from s3net_kernels import OPERATORS, implementations
from tests.kernels import base


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("implementation", "spec"), base.cases(lambda s: s.dtype == "float32"))
def test_double(implementation, spec):
    """float64: value and all gradients, to the last digits."""
    args = spec.make(dtype="float64")
    base.skip_if_declined(spec, implementation, args)
    cotangent = base.make_cotangent(spec, args)
    actual = base.value_and_gradients(base.public(spec, implementation))(cotangent, *args)
    assert all(a.dtype == jnp.float64 for a in actual)
    base.assert_close(spec, actual, base.reference(spec, cotangent, args), "float64")


@pytest.mark.parametrize(("implementation", "spec"), base.cases(lambda s: s.dtype == "float32"))
def test_single(implementation, spec):
    """float32 against float64, within the tolerance of float32."""
    args = spec.make(seed=1)
    base.skip_if_declined(spec, implementation, args)
    cotangent = base.make_cotangent(spec, args)
    actual = base.value_and_gradients(base.public(spec, implementation))(cotangent, *args)
    assert all(a.dtype == jnp.float32 for a in actual)
    base.assert_close(spec, actual, base.reference(spec, cotangent, args), "float32")


@pytest.mark.parametrize(("implementation", "spec"), base.cases(lambda s: s.dtype == "bfloat16"))
def test_low_precision(implementation, spec):
    """bfloat16 x: at most twice the error of the reference that computes in bfloat16."""
    args = spec.make()
    base.skip_if_declined(spec, implementation, args)
    cotangent = base.make_cotangent(spec, args)
    actual = base.value_and_gradients(base.public(spec, implementation))(cotangent, *args)
    kinds = [a.dtype for a in jax.tree.leaves(args)]
    assert [a.dtype for a in actual] == [args[0].dtype, *kinds]
    expected = base.reference(spec, cotangent, args)
    plain = base.reference(spec, cotangent, args, "bfloat16")
    base.assert_low_precision(spec, actual, expected, plain, "bfloat16")


SHARING = ("nothing", "parameters", "first parameter", "all but x", "x")
"""What the images of a vmapped call share."""


@pytest.mark.parametrize("shared", SHARING)
@pytest.mark.parametrize(
    ("implementation", "spec"), base.cases(lambda s: s == base.specs(s.operator)[2])
)
def test_vmap(implementation, spec, shared):
    """A vmapped call is the calls one by one: value and gradients, with arguments shared or not."""
    count, images = 3, range(3)
    axes: list[int | None] = [None if a is None else 0 for a in spec.args]
    for n in range(len(axes)):
        if shared == "parameters" and n in spec.parameters:
            axes[n] = None
        if shared == "first parameter" and n in spec.parameters[:1]:
            axes[n] = None
        if (shared == "x" and n == 0) or (shared == "all but x" and n > 0):
            axes[n] = None
    every = [spec.make(seed) for seed in images]
    for single in every:
        base.skip_if_declined(spec, implementation, single)
    first = every[0]
    every = [
        tuple(one if axis == 0 else same for one, same, axis in zip(e, first, axes, strict=True))
        for e in every
    ]
    args = tuple(
        jax.tree.map(lambda *a: np.stack(a), *(e[n] for e in every)) if axes[n] == 0 else first[n]
        for n in range(len(axes))
    )
    cotangent = np.stack([base.make_cotangent(spec, first) * (n + 1) for n in images])
    function = jax.vmap(base.public(spec, implementation), in_axes=tuple(axes))
    actual = base.value_and_gradients(function)(cotangent, *args)
    singles = [base.reference(spec, cotangent[n], every[n]) for n in images]
    leaf_axes = [axis for axis, arg in zip(axes, first, strict=True) for _ in jax.tree.leaves(arg)]
    expected = [
        np.stack(results) if axis == 0 else np.sum(results, 0)
        for axis, results in zip([0, *leaf_axes], zip(*singles, strict=True), strict=True)
    ]
    assert actual[0].shape[0] == count
    base.assert_close(spec, actual, expected, "float32")


@pytest.mark.parametrize(
    ("implementation", "spec"), base.cases(lambda s: s in base.specs(s.operator)[1:2])
)
def test_eager(implementation, spec):
    """Without jit, on NumPy arrays."""
    args = spec.make()
    base.skip_if_declined(spec, implementation, args)
    expected = base.reference(spec, base.make_cotangent(spec, args), args)[0]
    value = base.public(spec, implementation)(*args)
    assert base.relative_error(value, expected) <= base.tolerance("float32", spec.reduced)


def penalty(spec, implementation, order, cotangent):
    """A scalar that holds derivatives of the given order, and its gradient's leaves."""

    def first(*args):
        _, pull = jax.vjp(base.public(spec, implementation), *args)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(pull(cotangent)))

    def of_gradient(function):
        gradient = jax.grad(function, argnums=argnums)
        return lambda *args: sum(
            jnp.sum(jnp.cos(leaf)) for leaf in jax.tree.leaves(gradient(*args))
        )

    argnums = tuple(range(len(spec.args)))
    total = first
    for _ in range(order - 2):
        total = of_gradient(total)
    # Compiling takes longer than running.
    quick = {"xla_backend_optimization_level": 0}
    return jax.jit(jax.grad(total, argnums=argnums), compiler_options=quick)


@pytest.mark.slow
@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("operator", [name for name in OPERATORS if base.specs(name)])
def test_higher_derivatives(operator, order):
    """The implementations can be differentiated again, through their own backward passes."""
    specs = base.specs(operator)
    # The third of a small call: its program is long.
    spec = specs[2] if order == 2 else min(specs, key=lambda s: s.pixels * s.args[0].shape[-1])
    args = spec.make(dtype="float64")
    cotangent = jnp.asarray(base.make_cotangent(spec, args))
    expected = jax.tree.leaves(penalty(spec, "reference", order, cotangent)(*args))
    for implementation in ("xla", "native"):
        if implementations()[operator][implementation] is not None:
            continue
        actual = jax.tree.leaves(penalty(spec, implementation, order, cotangent)(*args))
        for a, e in zip(actual, expected, strict=True):
            scale = np.abs(e).max()
            assert np.abs(np.asarray(a) - e).max() <= 1e-11 * max(scale, 1), implementation


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize("operator", ["conv2d", "linear", "bilinear_sample"])
def test_third_derivative_of_the_gpu(operator):
    """By Pallas in interpret mode and float32: backward's own gradient is that of ``xla``."""
    spec = base.specs(operator)[1]
    args = spec.make()
    cotangent = jnp.asarray(base.make_cotangent(spec, args))
    expected = jax.tree.leaves(penalty(spec, "xla", 3, cotangent)(*args))
    with s3net_kernels.config(interpret=True):
        actual = jax.tree.leaves(penalty(spec, "pallas", 3, cotangent)(*args))
    for a, e in zip(actual, expected, strict=True):
        assert base.relative_error(a, e) < 1e-3, operator  # three passes of rounding


@pytest.mark.parametrize(
    ("implementation", "spec"), base.cases(lambda s: s in base.specs(s.operator)[1:2])
)
def test_no_image(implementation, spec):
    """A batch of no image gives a batch of none, and gradients of zero for what it shares."""
    args = tuple(
        arg if n in spec.parameters else jax.tree.map(lambda a: a[:0], arg)
        for n, arg in enumerate(spec.make())
    )
    if spec.operator == "affine_warp":
        args = (args[0], args[1][:0])
    base.skip_if_declined(spec, implementation, args)
    cotangent = base.make_cotangent(spec, args)
    actual = base.value_and_gradients(base.public(spec, implementation))(cotangent, *args)
    assert actual[0].shape == cotangent.shape
    assert all(not np.any(np.asarray(a, np.float32)) for a in actual)
