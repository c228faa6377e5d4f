"""Choice of an implementation, and settings."""

from __future__ import annotations

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels as kernels
from s3net_kernels import _dispatch, _platform, _registry, testing
from s3net_kernels._config import settings


@pytest.fixture
def modules(monkeypatch):
    """Stand-ins for the implementations; returns the table (name -> module) to fill."""
    table: dict[str, types.SimpleNamespace] = {}
    monkeypatch.setattr(_registry, "_import", lambda operator, name: table.get(name))
    monkeypatch.setattr(_dispatch, "_announced", set())
    return table


def stand_in(value: str, decline: str | None = None, unavailable: str | None = None):
    return types.SimpleNamespace(
        depthwise_conv2d=lambda operands: value,
        supports=lambda operands: decline,
        unavailable=lambda: unavailable,
    )


def simulate(monkeypatch, platform):
    monkeypatch.setattr(_dispatch, "find_platform", lambda *args: platform)


X = np.ones((1, 4, 4, 3), np.float32)
W = np.ones((3, 3, 3), np.float32)


def call(implementation=None):
    return kernels.depthwise_conv2d(X, W, implementation=implementation)


@pytest.mark.parametrize(
    ("platform", "expected"), [("cpu", "native"), ("gpu", "pallas"), ("tpu", "xla")]
)
def test_best_for_the_platform(modules, monkeypatch, platform, expected):
    simulate(monkeypatch, platform)
    modules.update({name: stand_in(name) for name in kernels.IMPLEMENTATIONS})
    assert call() == expected


def test_next_best_when_declined(modules, monkeypatch):
    simulate(monkeypatch, "cpu")
    modules.update(xla=stand_in("xla"), native=stand_in("native", decline="too odd"))
    assert call() == "xla"


def test_all_reasons_together(modules, monkeypatch):
    simulate(monkeypatch, "cpu")
    modules.update(xla=stand_in("xla", decline="too odd"), native=stand_in("", None, "not built"))
    with pytest.raises(kernels.UnsupportedError, match="native: not built; xla: too odd"):
        call()


def test_named_one_that_is_missing(modules):
    with pytest.raises(NotImplementedError, match="pallas: it is not written"):
        call("pallas")


def test_a_fallback_on_a_gpu_is_announced_once_for_each_reason(modules, monkeypatch):
    simulate(monkeypatch, "gpu")
    modules.update(xla=stand_in("xla"), pallas=stand_in("pallas", decline="it is too odd"))
    with pytest.warns(kernels.FallbackWarning, match="depthwise_conv2d .*GPU.*pallas: it is too"):
        assert call() == "xla"
    call()  # an error if it warned again
    modules.update(pallas=stand_in("pallas", unavailable="JAX sees no GPU here"))
    with pytest.warns(kernels.FallbackWarning, match="JAX sees no GPU here") as found:
        call()
    assert found[0].filename == __file__


def test_a_missing_library_is_announced_once(modules, monkeypatch):
    simulate(monkeypatch, "cpu")
    modules.update(xla=stand_in("xla"), native=stand_in("", unavailable="it was not built"))
    with pytest.warns(kernels.FallbackWarning, match="The operators .*CPU.*native: it was not"):
        call()
    for module in modules.values():
        module.conv2d = module.depthwise_conv2d
    kernels.conv2d(X, W[..., None])


def test_what_is_asked_for_or_empty_is_not_announced(modules, monkeypatch):
    simulate(monkeypatch, "gpu")
    modules.update(xla=stand_in("xla"), pallas=stand_in("pallas", decline="an array is empty"))
    assert call("xla") == "xla"
    assert kernels.depthwise_conv2d(X[:0], W) == "xla"
    simulate(monkeypatch, "cpu")
    modules.update(native=stand_in("native", decline="it takes at most 8 branches, not 9"))
    assert call() == "xla"


def test_explained(modules, monkeypatch):
    simulate(monkeypatch, "gpu")
    modules.update(
        reference=stand_in(""), xla=stand_in("xla"), pallas=stand_in("", decline="too odd")
    )
    found = kernels.explain("depthwise_conv2d", X, W)
    assert found[:3] == ("depthwise_conv2d", "gpu", "xla")
    missing = "it is not written for this operator"
    reasons = {"pallas": "too odd", "xla": None, "reference": None, "native": missing}
    assert found.reasons == reasons and list(found.reasons)[:2] == ["pallas", "xla"]
    assert str(found).splitlines() == [
        "depthwise_conv2d on gpu: xla",
        "  pallas     too odd",
        "  xla        can serve the call",
        "  reference  can serve the call",
        f"  native     {missing}",
    ]
    named = kernels.explain("depthwise_conv2d", X, W, implementation="pallas")
    assert named.chosen is None and named.reasons == reasons
    assert "depthwise_conv2d on gpu: no implementation" in str(named)


def test_explained_by_shapes():
    """Every operator, without arrays, decides as the call itself would; nothing is computed."""
    for operator in kernels.OPERATORS:
        spec = testing.list_specs(operator)[1]
        shapes = kernels.explain(operator, *spec.make_shapes(), **spec.options)
        arrays = kernels.explain(operator, *spec.make(), **spec.options)
        assert shapes == arrays and shapes.reasons["xla"] is None
        assert shapes.chosen in ("native", "pallas", "xla")


def test_explained_inside_jit():
    found = []
    jax.jit(lambda x: found.append(kernels.explain("linear", x, x)))(jnp.ones((2, 2)))
    assert found[0].reasons["xla"] is None


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: kernels.explain("conv3d", X), "no operator 'conv3d'.*did you mean 'conv2d'"),
        (lambda: kernels.explain("conv2d", X, W), r"w has shape \(3, 3, 3\)"),
        (lambda: kernels.explain("conv2d", X, W[None], implementation="xls"), "no impl.*'xla'"),
    ],
)
def test_what_can_not_be_explained(call, words):
    with pytest.raises(ValueError, match=words):
        call()
    # What was refused leaves nothing behind.
    assert kernels.depthwise_conv2d(X, W, implementation="xla").shape == X.shape


def test_implementations_lists_everything():
    table = kernels.implementations()
    assert set(table) == set(kernels.OPERATORS)
    for row in table.values():
        assert set(row) == set(kernels.IMPLEMENTATIONS)
        assert row["reference"] is None and row["xla"] is None


def test_platform_of_arrays_concrete_and_traced():
    x = jnp.zeros(1)
    expected = "gpu" if jax.default_backend() in ("gpu", "cuda", "rocm") else jax.default_backend()
    assert _platform.find_platform(x) == expected
    assert _platform.find_platform(np.zeros(1)) == expected
    with jax.default_device(jax.devices("cpu")[0]):
        assert _platform.find_platform(np.zeros(1)) == "cpu"


def test_settings_are_scoped_and_retrace():
    traced = []

    @jax.jit
    def function(x):
        traced.append(settings().deterministic)
        return x

    function(1.0)
    with kernels.config(deterministic=True):
        function(1.0)
        with kernels.config(tuned=False):
            assert settings().deterministic and not settings().tuned
    function(1.0)
    assert traced == [False, True]
