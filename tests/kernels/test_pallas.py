"""Pallas kernels without a GPU: values in interpret mode."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels
from tests.kernels import base
from tests.kernels.poison import poison_accesses

pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")

VALUES = [
    pytest.param(base.specs(operator)[n], id=f"{operator}-{base.specs(operator)[n]}")
    for operator, numbers in {
        "depthwise_conv2d": (0, 2, 3),
        "deform_conv2d": (1, 2, 9),
        "bilinear_sample": (1, 2, 3),
        "affine_warp": (3,),
        "linear": (1, 4),
        "conv2d": (1, 2),
        "gated_inception": (4,),
        "batch_norm": (1, 4),
        "linear_norm": (1, 3, 4),
    }.items()
    for n in numbers
]
FOLDED = ("depthwise_conv2d", "deform_conv2d", "linear", "conv2d", "linear_norm")
UNROLLED = {"depthwise_conv2d": 2, "deform_conv2d": 1}
"""Operators of many accesses to compile, and the spec in which these are watched."""
WITH_LITTLE = {"gated_inception": 4}
"""Whose first spec has many branches to compile: a later one."""
ATOMIC = ("deform_conv2d", "bilinear_sample", "affine_warp")


def run_interpreted(spec):
    """Value and gradients by the kernels in interpret mode, quick to compile."""
    return base.value_and_gradients(base.public(spec, "pallas"), xla_backend_optimization_level=0)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("spec", VALUES)
def test_values(spec, deterministic, monkeypatch):
    """Value and all gradients; additions into dx stand in for atomic ones.

    What is read or written outside an array spoils them; not where watching takes long."""
    if deterministic and spec.operator not in ATOMIC:
        pytest.skip("its kernels add nothing atomically: there is one way only")
    args = spec.make()
    cotangent = base.make_cotangent(spec, args)
    number = UNROLLED.get(spec.operator)
    watched = number is None or spec == base.specs(spec.operator)[number]
    interpret = poison_accesses(monkeypatch) if watched else s3net_kernels.config(interpret=True)
    with interpret, s3net_kernels.config(deterministic=deterministic):
        actual = run_interpreted(spec)(cotangent, *args)
    base.assert_close(spec, actual, base.reference(spec, cotangent, args), "float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operator", "number"),
    [
        ("depthwise_conv2d", 1),
        ("deform_conv2d", 1),
        ("deform_conv2d", 8),
        ("bilinear_sample", 3),
        ("affine_warp", 4),
        ("linear", 1),
        ("conv2d", 1),
        ("batch_norm", 1),
        ("linear_norm", 1),
    ],
)
def test_low_precision_values(operator, number):
    spec = base.specs(operator)[number]
    args = spec.make(dtype="bfloat16")
    cotangent = base.make_cotangent(spec, args)
    with s3net_kernels.config(interpret=True):
        actual = run_interpreted(spec)(cotangent, *args)
    expected = base.reference(spec, cotangent, args)
    plain = base.reference(spec, cotangent, args, "bfloat16")
    base.assert_low_precision(spec, actual, expected, plain, "bfloat16")


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["none", "first", "all"])
@pytest.mark.parametrize(
    "operator",
    ["depthwise_conv2d", "deform_conv2d", "linear", "conv2d", "linear_norm", "gated_inception"],
)
def test_vmap_is_one_launch(operator, shared):
    """Images with parameters of their own, or shared ones: as many kernels as a single call."""
    specs = base.specs(operator)[WITH_LITTLE.get(operator, 0) :]
    spec = next(s for s in specs if all(s.args[n] is not None for n in s.parameters))
    every = [spec.make(seed) for seed in range(3)]
    among = {"none": (), "first": spec.parameters[:1]}
    same = among.get(shared, spec.parameters)
    every = [tuple(every[0][n] if n in same else a for n, a in enumerate(e)) for e in every]
    axes = tuple(None if a is None or n in same else 0 for n, a in enumerate(spec.args))
    args = tuple(
        every[0][n]
        if axis is None
        else jax.tree.map(lambda *a: np.stack(a), *(e[n] for e in every))
        for n, axis in enumerate(axes)
    )
    single = base.make_cotangent(spec, every[0])
    cotangent = np.stack([single] * 3)
    function = jax.vmap(base.public(spec, "pallas"), in_axes=axes)
    with s3net_kernels.config(interpret=True):
        run = base.value_and_gradients(function, xla_backend_optimization_level=0)
        actual = run(cotangent, *args)
        plain = base.value_and_gradients(base.public(spec, "pallas"))
        one = str(jax.make_jaxpr(plain)(single, *every[0]))
        many = str(jax.make_jaxpr(base.value_and_gradients(function))(cotangent, *args))
    assert many.count("pallas_call[") == one.count("pallas_call[") > 0
    singles = [base.reference(spec, single, e) for e in every]
    leaves = [axis for axis, a in zip(axes, spec.args, strict=True) for _ in jax.tree.leaves(a)]
    expected = [
        np.sum(results, 0) if axis is None else np.stack(results)
        for axis, results in zip([0, *leaves], zip(*singles, strict=True), strict=True)
    ]
    base.assert_close(spec, actual, expected, "float32")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operator", "number"),
    [
        ("bilinear_sample", 2),
        ("gated_inception", 4),
        ("linear", 1),
        ("batch_norm", 1),
        ("linear_norm", 1),
    ],
)
def test_differentiated_twice(operator, number):
    """The backward kernels hand second derivatives to the plain implementation."""
    spec = base.specs(operator)[number]
    args = spec.make()

    def penalty(implementation, *args):
        def total(*args):
            # Of squares, a normalisation leaves nothing to differentiate.
            return jnp.sum(jnp.sin(base.public(spec, implementation)(*args)))

        slopes = jax.tree.leaves(jax.grad(total, argnums=(0, 1))(*args))
        return sum(jnp.sum(jnp.square(slope)) for slope in slopes)

    with s3net_kernels.config(interpret=True):
        actual = jax.jit(jax.grad(functools.partial(penalty, "pallas"), (0, 1)))(*args)
    expected = jax.jit(jax.grad(functools.partial(penalty, "xla"), (0, 1)))(*args)
    for a, e in zip(actual, expected, strict=True):
        assert base.relative_error(a, e) < base.tolerance("float32", spec.reduced * 64)


@pytest.mark.usefixtures("x64")
def test_declines_double():
    with (
        s3net_kernels.config(interpret=True),
        pytest.raises(s3net_kernels.UnsupportedError, match="not float64"),
    ):
        s3net_kernels.depthwise_conv2d(
            np.ones((1, 2, 2, 1)), np.ones((1, 1, 1)), implementation="pallas"
        )
