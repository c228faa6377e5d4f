"""Implementations from outside: registered, chosen, explained, checked and timed."""

from __future__ import annotations

import doctest

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels as kernels
from s3net_kernels import _dispatch, _registry, testing

SPECS = testing.list_specs("conv2d")[1:3]


def convolve(o):
    y = jax.lax.conv_general_dilated(
        o.x, o.w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), precision="highest"
    )
    return y if o.b is None else y + o.b


def refuse_bfloat16(o):
    return "it supports float32, not bfloat16" if o.x.dtype == jnp.bfloat16 else None


@pytest.fixture
def register():
    """``register_implementation`` whose implementations leave at the end of the test."""
    names = []

    def add(operator, name, function, **options):
        kernels.register_implementation(operator, name, function, **options)
        names.append((operator, name))

    yield add
    for operator, name in names:
        kernels.unregister_implementation(operator, name)


def call(implementation=None, spec=SPECS[0]):
    return kernels.conv2d(*spec.make(), implementation=implementation)


def test_chosen_by_name(register):
    expected = call("xla")
    register("conv2d", "lax", convolve)
    np.testing.assert_allclose(call("lax"), expected, rtol=1e-4, atol=1e-4)
    assert kernels.implementations()["conv2d"]["lax"] is None
    assert "lax" not in kernels.implementations()["linear"]
    found = kernels.explain("conv2d", *SPECS[0].make())
    assert found.chosen != "lax" and found.reasons["lax"] is None


def test_gone_when_unregistered():
    kernels.register_implementation("conv2d", "lax", convolve)
    kernels.unregister_implementation("conv2d", "lax")
    with pytest.raises(ValueError, match="no implementation 'lax'"):
        call("lax")


def test_preferred_where_it_serves(register):
    """The latest preferred one is asked first; what declines gives way to the next."""
    register("conv2d", "early", lambda o: "early", prefer=True)
    register("conv2d", "late", lambda o: "late", prefer=True, supports=lambda o: o.b and "a bias")
    register("conv2d", "never", lambda o: "never")
    assert call(spec=testing.list_specs("conv2d")[0]) == "late"
    register("conv2d", "absent", lambda o: "", prefer=True, unavailable=lambda: "no such device")
    found = kernels.explain("conv2d", *testing.list_specs("conv2d")[0].make())
    assert list(found.reasons)[:3] == ["absent", "late", "early"]
    assert found.reasons["absent"] == kernels.implementations()["conv2d"]["absent"]


def test_on_its_platforms_only(register, monkeypatch):
    register("conv2d", "gpu_only", lambda o: "gpu", platforms=("gpu",), prefer=True)
    monkeypatch.setattr(_dispatch, "find_platform", lambda *args: "cpu")
    assert not isinstance(call(), str)
    with pytest.raises(kernels.UnsupportedError, match="it runs on gpu, but the call is on cpu"):
        call("gpu_only")
    monkeypatch.setattr(_dispatch, "find_platform", lambda *args: "gpu")
    assert call() == "gpu"


def test_under_jit_grad_and_vmap(register):
    register("conv2d", "lax", convolve)
    x, w, _ = SPECS[0].make()

    def loss(implementation):
        def run(x):
            return jnp.sum(kernels.conv2d(x, w, implementation=implementation) ** 2)

        return jax.jit(jax.vmap(jax.grad(run)))(jnp.stack([x, 2 * x]))

    np.testing.assert_allclose(loss("lax"), loss("xla"), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("args", "options", "words"),
    [
        (("conv3d", "lax"), {}, "no operator 'conv3d'.*did you mean 'conv2d'"),
        (("conv2d", "xla"), {}, "already has an implementation 'xla'"),
        (("conv2d", ""), {}, "must be a string that is not empty, got ''"),
        (("conv2d", None), {}, "must be a string that is not empty, got None"),
        (("conv2d", "lax"), {"platforms": ("gpus",)}, "got 'gpus' .did you mean 'gpu'"),
        (("conv2d", "lax"), {"platforms": "gpu"}, "must be a tuple"),
    ],
)
def test_refused(args, options, words):
    operator, name = args
    with pytest.raises(ValueError, match=words):
        kernels.register_implementation(operator, name, convolve, **options)
    assert set(kernels.implementations()["conv2d"]) == set(kernels.IMPLEMENTATIONS)


def test_refused_when_taken_or_not_callable(register):
    register("conv2d", "lax", convolve)
    with pytest.raises(ValueError, match=r"already has .* 'lax'.*unregister the other first"):
        register("conv2d", "lax", convolve)
    nothing: object = 3
    with pytest.raises(TypeError, match="supports of 'other' must be a function, got 3"):
        register("conv2d", "other", convolve, supports=nothing)
    with pytest.raises(ValueError, match=r"no registered implementation 'lex' .did you mean 'lax'"):
        kernels.unregister_implementation("conv2d", "lex")


def test_checked_against_the_reference(register):
    register("conv2d", "lax", convolve, supports=refuse_bfloat16)
    checks = testing.check_implementation(
        "conv2d", "lax", specs=[*SPECS, testing.list_specs("conv2d")[-1]]
    )
    assert [check.declined for check in checks] == [None, None, "it supports float32, not bfloat16"]
    assert [len(check.errors) for check in checks] == [4, 4, 0]
    assert max(checks[0].errors) < 1e-4


def test_a_wrong_value_is_found(register):
    register("conv2d", "wrong", lambda o: convolve(o) * 1.01)
    with pytest.raises(AssertionError, match=r"wrong, 2x5x7x3 .* in float32: value: error"):
        testing.check_implementation("conv2d", "wrong", specs=SPECS)


def test_a_wrong_gradient_is_found(register):
    def function(o):
        return convolve(o.replace(w=jax.lax.stop_gradient(o.w)))

    register("conv2d", "wrong", function)
    with pytest.raises(AssertionError, match="gradient 1: error"):
        testing.check_implementation("conv2d", "wrong", specs=SPECS)


def test_one_that_serves_nothing_is_no_success(register):
    register("conv2d", "lax", convolve, supports=lambda o: "not today")
    with pytest.raises(AssertionError, match="conv2d by lax declines: not today"):
        testing.check_implementation("conv2d", "lax", specs=SPECS)


def test_our_own_in_bfloat16():
    """The rule for 16-bit dtypes: at most twice the error of the plain version."""
    (check,) = testing.check_implementation(
        "linear", "xla", specs=testing.list_specs("linear")[-1:]
    )
    assert check.dtype == "bfloat16" and check.declined is None


def test_timed_side_by_side(register):
    register("conv2d", "lax", convolve)
    rows = testing.benchmark("conv2d", ["xla", "lax"], SPECS[0], repeats=3)
    assert [(row["direction"], row["implementation"]) for row in rows] == [
        (direction, name) for direction in testing.DIRECTIONS for name in ("xla", "lax")
    ]
    for row in rows:
        assert row["operator"] == "conv2d" and row["call"] == SPECS[0].name
        assert 0 < row["min_s"] <= row["q1_s"] <= row["median_s"] <= row["q3_s"]
        assert row["repeats"] == 3 and row["dtype"] == "float32"


def test_what_does_not_exist_is_refused():
    other = testing.list_specs("linear")[1]
    with pytest.raises(ValueError, match="a call of linear, not conv2d"):
        testing.benchmark("conv2d", ["xla"], other)
    with pytest.raises(ValueError, match="a call of linear, not conv2d"):
        testing.check_implementation("conv2d", "xla", specs=[other])
    with pytest.raises(ValueError, match="no implementation 'lax'"):
        testing.benchmark("conv2d", ["lax"], SPECS[0])
    with pytest.raises(ValueError, match="did you mean 'conv2d'"):
        testing.check_implementation("conv2", "xla")


def test_those_that_decline_are_not_timed(register):
    register("conv2d", "lax", convolve, supports=refuse_bfloat16)
    rows = testing.benchmark("conv2d", ["xla", "lax"], SPECS[0], dtype="bfloat16", repeats=1)
    assert {row["implementation"] for row in rows} == {"xla"}


@pytest.mark.parametrize("module", [_dispatch, _registry, testing], ids=lambda m: m.__name__)
def test_examples(module):
    """What the docstrings show is what happens."""
    found = doctest.testmod(module)
    assert found.attempted and not found.failed
