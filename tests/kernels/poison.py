"""Interpret mode with a poison on every access outside an array.

It clamps such indices, and a GPU reads and writes what lies there: neither says so.
"""

from __future__ import annotations

import contextlib
import importlib
import pkgutil

import jax.numpy as jnp

import s3net_kernels
from s3net_kernels import _pallas
from s3net_kernels._pallas import memory


def _poison(value):
    if jnp.issubdtype(value.dtype, jnp.floating):
        return jnp.nan
    return jnp.asarray(jnp.iinfo(value.dtype).max // 2, value.dtype)


def _outside(ref, index, mask):
    _checked.append(ref.shape)
    full, shape = memory._broadcast(index)
    found = jnp.zeros(shape, bool)
    for i, size in zip(full, ref.shape, strict=True):
        found |= (i < 0) | (i >= size)
    return found if mask is None else found & mask


def load(ref, index, mask=None, *, widen=True):
    """Load values, replacing those outside the array by poison."""
    value = _LOAD(ref, index, mask, widen=widen)
    return jnp.where(_outside(ref, index, mask), _poison(value), value)


def store(ref, index, value, mask=None):
    """Store values, and poison the whole array if one lands outside."""
    _STORE(ref, index, value, mask)
    _spoil(ref, _outside(ref, index, mask))


def add_at(ref, index, value, mask):
    """The same where it is added."""
    _ADD_AT(ref, index, value, mask)
    _spoil(ref, _outside(ref, index, mask))


def _spoil(ref, outside):
    ref[...] = jnp.where(outside.any(), _poison(ref), ref[...])


_LOAD, _STORE, _ADD_AT = memory.load, memory.store, memory.add_at
_checked: list[object] = []
_POISONED = {"load": load, "store": store, "add_at": add_at}


@contextlib.contextmanager
def poison_accesses(monkeypatch):
    """Every module's accesses to memory replaced."""
    found = 0
    for info in pkgutil.walk_packages(s3net_kernels.__path__, "s3net_kernels."):
        if "native" in info.name or info.name in (_pallas.__name__, memory.__name__):
            continue
        module = importlib.import_module(info.name)
        for name, replaced in _POISONED.items():
            if getattr(module, name, None) is getattr(memory, name):
                monkeypatch.setattr(module, name, replaced)
                found += 1
    assert found > 20
    _checked.clear()
    with s3net_kernels.config(interpret=True):
        yield
    assert _checked, "nothing was traced with the poison"
