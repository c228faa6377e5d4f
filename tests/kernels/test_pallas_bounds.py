"""Accesses outside an array are found in interpret mode, and the losses have none.

Nor do they overflow: an array of single bytes is addressed in 32 bits up to 2³² of them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import s3net_kernels
from s3net_kernels import _pallas
from s3net_kernels.operands import SoftmaxLosses
from s3net_kernels.softmax_losses import pallas as losses
from s3net_kernels.softmax_losses import pallas_kernels
from tests.kernels import poison

pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")


@pytest.mark.slow
def test_losses_stay_inside(monkeypatch):
    shape = (2, 5, 7, 3)
    random = np.random.default_rng(0)
    logits = random.normal(size=shape).astype("float32")

    def total(z):
        options = {"spatial": True, "implementation": "pallas"}
        ce, edges, used = s3net_kernels.softmax_losses(z, **options)
        return ce + edges, used

    with poison.poison_accesses(monkeypatch):
        (value, used), slope = jax.value_and_grad(total, has_aux=True)(logits)
    assert np.isfinite(value) and np.isfinite(slope).all()
    assert 0 <= np.min(used) <= np.max(used) < 3


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("access", ["load", "store", "add"])
def test_what_leaves_is_found(access, shift, monkeypatch):
    def kernel(x, out):
        index = jnp.arange(4, dtype=jnp.int32)
        away, every = (index + shift,), index >= 0
        if access == "load":
            poison.store(out, (index,), poison.load(x, away))
        elif access == "store":
            poison.store(out, away, jnp.ones(4))
        else:
            out[...] = jnp.zeros(4)
            poison.add_at(out, away, jnp.ones(4), every)

    out = jax.ShapeDtypeStruct((4,), jnp.float32)
    blocks = {"num_warps": 1}
    with poison.poison_accesses(monkeypatch):
        result = _pallas.launch(kernel, out, (1,), blocks, jnp.ones(4), name="leaves")
    assert bool(np.isfinite(result).all()) == (shift == 0)


def _slopes(z):
    def total(z):
        ce, edges, _ = s3net_kernels.softmax_losses(z, spatial=True, implementation="pallas")
        return ce + edges

    return jax.value_and_grad(total)(z)


@pytest.mark.slow
def test_many_codes_are_split_by_image(monkeypatch):
    """The codes of many images take several launches, ``vmap`` included; the result is the same."""
    z = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 3, 2)), jnp.float32)
    with s3net_kernels.config(interpret=True):
        expected = _slopes(z)
        launches = []

        def launch(*args, **options):
            launches.append(args[4].shape[0])
            return _pallas.launch(*args, **options)

        monkeypatch.setattr(pallas_kernels, "launch", launch)
        monkeypatch.setattr(losses, "MOST_CODES", 2 * 4 * 3 * 2 + 1)
        actual = _slopes(z)
    assert launches == [2, 2, 1, 1, 2, 1]
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-6)


def test_codes_of_enormous_calls(monkeypatch):
    """No launch has so many that their places overflow; an image that does is declined."""
    sizes = []

    def launch(kernel, out, *args, **options):
        sizes.extend(a.size for a in (*args[2:], *jax.tree.leaves(out)) if a.dtype == jnp.int8)
        return jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), out)

    monkeypatch.setattr(pallas_kernels, "launch", launch)
    monkeypatch.setattr(losses, "unavailable", lambda: None)
    for images in (32, 33):
        jax.eval_shape(_slopes, jax.ShapeDtypeStruct((images, 1024, 1024, 64), jnp.float32))
    assert len(sizes) == 2 * (2 + 2) and max(sizes) < 2**31
    enormous: Any = jax.ShapeDtypeStruct((1, 2**15, 2**10, 64), jnp.float32)
    assert "2147483647 logits" in str(losses.supports(SoftmaxLosses(enormous, spatial=True)))
