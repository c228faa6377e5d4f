"""A fit's arguments as arrays of one kind each.

``jax.jit`` compiles a program for every dtype, weak type, device commitment and form of key that
it is given. Here every way of giving the same numbers becomes the same array first. Nothing is
computed on the device for that, so nothing is compiled.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from s3net_jax.errors import NotNumbersError

__all__ = ["NotNumbersError", "as_key", "is_traced", "read_numbers", "to_array"]


def is_traced(*trees: Any) -> bool:
    """Whether any leaf of ``trees`` is traced by a transformation of JAX."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def read_numbers(value: Any) -> Array | np.ndarray:
    """``value`` as an array: traced or on a device as it is, anything else as NumPy's.

    Raises:
      NotNumbersError: it holds no real numbers (booleans count as none).
    """
    given = value
    if not isinstance(value, Array) and hasattr(value, "__jax_array__"):
        value = value.__jax_array__()
    if not isinstance(value, Array):
        try:
            value = jnp.asarray(value) if is_traced(value) else np.asarray(value)
        except (TypeError, ValueError, RuntimeError):
            raise NotNumbersError(f"a {type(given).__name__}") from None
        if value.dtype.kind in "OSUMm":
            raise NotNumbersError(f"a {type(given).__name__}")
    dtype = value.dtype
    if not (jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)):
        raise NotNumbersError(str(dtype))
    return value


def to_array(value: Array | np.ndarray, dtype: Any) -> Array:
    """``value`` as an array of ``dtype`` that shares no memory with what the caller can write to.

    Never weakly typed, and not committed to a device that is the default one anyway.
    """
    dtype = jnp.dtype(dtype)
    if isinstance(value, Tracer):
        return jnp.asarray(value, dtype)
    if not isinstance(value, Array):
        return jnp.asarray(np.array(value, dtype, order="C"))
    if value.dtype == dtype and not value.weak_type and not _is_committed_to_default(value):
        return value
    if value.committed and not _is_committed_to_default(value):
        return jax.device_put(value.astype(dtype), value.sharding)
    return jnp.asarray(np.array(value, dtype, order="C"))


def as_key(key: Any) -> Array:
    """A typed key, or several, of a checked one: raw keys are of JAX's default kind."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if isinstance(key, Tracer) or not _is_committed_to_default(key):
            return key
        data = to_array(jax.random.key_data(key), jnp.uint32)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))
    return jax.random.wrap_key_data(to_array(key, jnp.uint32))


def _is_committed_to_default(array: Array) -> bool:
    if not array.committed or len(array.devices()) != 1:
        return False
    default: Any = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if default is None or isinstance(default, str):
        default = jax.local_devices(backend=default)[0]
    return array.devices() == {default}
