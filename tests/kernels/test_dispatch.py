"""Choice of an implementation, and settings."""

from __future__ import annotations

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels as kernels
from s3net_kernels import _dispatch
from s3net_kernels._config import settings


@pytest.fixture
def modules(monkeypatch):
    """Stand-ins for the implementations; returns the table (name -> module) to fill."""
    table: dict[str, types.SimpleNamespace] = {}
    monkeypatch.setattr(_dispatch, "_module", lambda operator, name: table.get(name))
    return table


def stand_in(value: str, decline: str | None = None, unavailable: str | None = None):
    return types.SimpleNamespace(
        depthwise_conv2d=lambda *args, **kwargs: value,
        supports=lambda *args, **kwargs: decline,
        unavailable=lambda: unavailable,
    )


@pytest.mark.parametrize(
    ("platform", "expected"), [("cpu", "native"), ("gpu", "pallas"), ("tpu", "xla")]
)
def test_best_for_the_platform(modules, monkeypatch, platform, expected):
    monkeypatch.setattr(_dispatch, "platform_of", lambda *args: platform)
    modules.update({name: stand_in(name) for name in kernels.IMPLEMENTATIONS})
    assert _dispatch.dispatch("depthwise_conv2d", None, 1) == expected


def test_next_best_when_declined(modules, monkeypatch):
    monkeypatch.setattr(_dispatch, "platform_of", lambda *args: "cpu")
    modules.update(xla=stand_in("xla"), native=stand_in("native", decline="too odd"))
    assert _dispatch.dispatch("depthwise_conv2d", None, 1) == "xla"


def test_all_reasons_together(modules, monkeypatch):
    monkeypatch.setattr(_dispatch, "platform_of", lambda *args: "cpu")
    modules.update(xla=stand_in("xla", decline="too odd"), native=stand_in("", None, "not built"))
    with pytest.raises(kernels.UnsupportedError, match="native: not built; xla: too odd"):
        _dispatch.dispatch("depthwise_conv2d", None, 1)


def test_named_one_that_is_missing(modules):
    with pytest.raises(NotImplementedError, match="pallas: it is not written"):
        _dispatch.dispatch("depthwise_conv2d", "pallas", 1)


def test_implementations_lists_everything():
    table = kernels.implementations()
    assert set(table) == set(kernels.OPERATORS)
    for row in table.values():
        assert set(row) == set(kernels.IMPLEMENTATIONS)
        assert row["reference"] is None and row["xla"] is None


def test_platform_of_concrete_and_traced():
    x = jnp.zeros(1)
    expected = "gpu" if jax.default_backend() in ("gpu", "cuda", "rocm") else jax.default_backend()
    assert _dispatch.platform_of(x) == expected
    assert _dispatch.platform_of(np.zeros(1)) == expected
    with jax.default_device(jax.devices("cpu")[0]):
        assert _dispatch.platform_of(np.zeros(1)) == "cpu"


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
