"""Products of bfloat16 on the CPU: as exact as rounded factors allow, and not taken unasked."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import s3net_kernels
from s3net_kernels import _native
from tests.kernels import base

OPERATORS = ("linear", "conv2d", "deform_conv2d", "gated_inception")
pytestmark = pytest.mark.skipif(
    "native" not in base.list_available("linear"), reason="there is no native library here"
)
# Deep enough for tiles in every direction, and with rests.
EXTRA = {
    "linear": [((1, 130, 33), 70), ((1, 70, 192), 100)],
    "conv2d": [((1, 18, 51, 64), 27), ((1, 7, 9, 20), 33)],
    "deform_conv2d": [((1, 12, 11, 64), 64), ((2, 9, 8, 20), 17)],
    "gated_inception": [((1, 40, 12, 64),), ((1, 9, 33, 24),)],
}
CASES = [
    pytest.param(spec, id=f"{operator}-{spec}")
    for operator in OPERATORS
    for spec in (
        *(s for s in base.specs(operator) if s.dtype == "float32"),
        *(base.module(operator, "arg_specs").spec(*given) for given in EXTRA[operator]),
    )
]


def run(spec, precision):
    args = spec.make()
    cotangent = base.make_cotangent(spec, args)
    # Compiled anew: the precision takes part in the key of jit's cache.
    with jax.default_matmul_precision(precision):
        return base.value_and_gradients(base.public(spec, "native"))(cotangent, *args)


@pytest.mark.parametrize("spec", CASES)
def test_errors_are_those_of_rounded_factors(spec):
    args = spec.make()
    cotangent = base.make_cotangent(spec, args)
    expected = base.reference(spec, cotangent, args)
    found = base.errors(run(spec, "bfloat16"), expected)
    # Each product of rounded factors is off by up to 2^-8 of its value; errors of both signs
    # add up slower than the products, the largest sum of which is the scale.
    assert max(found) < 0.02, found
    if _native.multiplies_bfloat16() and spec.args[0].shape[-1] >= 16:
        assert max(found) > 1e-5, "the factors were not rounded"


@pytest.mark.parametrize("spec", CASES)
def test_whole_numbers_are_exact(spec):
    """Small whole numbers have no rounding: sums, tiles and rests must be right to the last bit."""
    if spec.operator == "gated_inception" or spec.options.get("activation"):
        pytest.skip("its inner results are no whole numbers")
    random = np.random.default_rng(0)

    def whole(a):
        return random.integers(-3, 4, a.shape).astype(np.float32)

    args = jax.tree.map(whole, spec.make())
    cotangent = whole(base.make_cotangent(spec, args))
    function = base.public(spec, "native")
    results = []
    for precision in ("bfloat16", "float32"):
        with jax.default_matmul_precision(precision):
            results.append(base.value_and_gradients(function)(cotangent, *args))
    for low, full in zip(*results, strict=True):
        np.testing.assert_array_equal(low, full)


def test_asked_for_by_argument():
    x, w = np.ones((40, 64), np.float32) * 1.001, np.ones((64, 64), np.float32)
    plain = s3net_kernels.linear(x, w, implementation="native")
    low = s3net_kernels.linear(x, w, precision="bfloat16", implementation="native")
    np.testing.assert_allclose(plain, 64.064, rtol=1e-6)
    np.testing.assert_allclose(low, 64 if _native.multiplies_bfloat16() else 64.064, rtol=1e-6)


def test_narrower_instruction_sets_compute_in_float32():
    spec = base.specs("linear")[3]
    before = _native.instruction_set()
    assert before is not None
    try:
        _native.use_instruction_set("baseline")
        low, full = run(spec, "bfloat16"), run(spec, "float32")
    finally:
        _native.use_instruction_set(before)
    for a, b in zip(low, full, strict=True):
        np.testing.assert_array_equal(a, b)


def test_many_threads_and_images_agree():
    """Tiles belong to a thread: a vmapped call gives what single calls give, bit for bit."""
    spec = base.module("linear", "arg_specs").spec((1, 300, 64), 64)
    every = [spec.make(seed) for seed in range(4)]
    function = base.public(spec, "native")
    with jax.default_matmul_precision("bfloat16"):
        single = [function(*[a for a in e if a is not None]) for e in every]
        stacked = [
            np.stack(a) for a in zip(*([a for a in e if a is not None] for e in every), strict=True)
        ]
        many = jax.jit(jax.vmap(function))(*stacked)
    np.testing.assert_array_equal(np.stack(single), many)
