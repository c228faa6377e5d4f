"""Check and convert the arguments of :func:`fit` and :func:`fit_batch` before compilation.

``jax.jit`` compiles a separate program for every dtype, weak type, device commitment and kind of
key. This module therefore converts all ways to pass the same numbers to the same kind of array.
It computes nothing on the device, so the conversion itself compiles nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer

from s3net_jax.config import Config, check_config
from s3net_jax.errors import ConfigError, NotNumbersError
from s3net_jax.methods import Hyper, get_method

__all__ = [
    "check_devices",
    "check_image",
    "check_listener",
    "check_trained_on_image",
    "convert_array",
    "is_traced",
    "read_hyper",
    "read_keys",
    "read_numbers",
    "read_pixels",
]

_HELP = "s3net_jax.prepare(image, config) converts any image to the network's input"


def read_pixels(image: Any, dtype: jnp.dtype) -> Array:
    """Convert ``image`` to an array of ``dtype``.

    Raises:
      TypeError: ``image`` is not a floating-point array.
    """
    try:
        pixels = read_numbers(image)
    except NotNumbersError as error:
        if str(error).startswith("a "):
            raise TypeError(f"fit takes arrays, not {error}. {_HELP}.") from None
        raise TypeError(
            f"fit takes floating-point arrays in [0, 1]; the image given is {error}. {_HELP}."
        ) from None
    if not jnp.issubdtype(pixels.dtype, jnp.floating):
        raise TypeError(
            f"fit takes floating-point arrays in [0, 1]; the image given is {pixels.dtype}. "
            f"{_HELP}."
        )
    return convert_array(pixels, dtype)


def check_image(shape: tuple[int, ...], config: Config) -> None:
    """Raise ValueError unless ``shape`` is (H, W, C), with a size that the method takes."""
    if len(shape) != 3 or shape[-1] == 0:
        raise ValueError(f"fit takes an image of shape (H, W, C), got {shape}.")
    if min(shape[:2]) < 8:
        raise ValueError(f"fit takes images of at least 8×8 pixels, got {shape[0]}×{shape[1]}.")
    method = get_method(config.method.name)
    if method.check_shape is not None:
        method.check_shape((shape[0], shape[1], shape[2]), config)


def check_trained_on_image(config: Config) -> None:
    """Raise ConfigError for a configuration that trains on a folder; TypeError for none at all."""
    method = check_config(config).method
    if method.trained_on == "folder":
        raise ConfigError(
            f"The preset {config.preset} trains one network on many images: use "
            "s3net_jax.segment_batch, or s3net_jax.fitting.fit_dataset and predict, or the preset "
            f"{method.name}-image for single images."
        )


def read_keys(key: Any) -> Array:
    """Convert ``key`` to typed PRNG keys, (), (B,) or more axes.

    Raises:
      TypeError: ``key`` is neither a typed nor a raw PRNG key.
    """
    dtype, shape = getattr(key, "dtype", None), tuple(getattr(key, "shape", ()))
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return _convert_key(key)
    # jax.random.PRNGKey makes raw keys; their size depends on JAX's default key implementation.
    words = jax.eval_shape(jax.random.PRNGKey, 0).shape
    if dtype == jnp.uint32 and shape[-1:] == words:
        return _convert_key(key)
    given = repr(key) if isinstance(key, int) else f"a {type(key).__name__}"
    given = given if dtype is None else f"an array of {dtype} {shape}"
    raise TypeError(f"The key is {given}; give a PRNG key, such as jax.random.key(0).")


def read_hyper(hyper: Any, dtype: jnp.dtype, count: int | None = None) -> Hyper:
    """Convert the fields of ``hyper`` to arrays of ``dtype``.

    A wider field would promote the loss and the parameters it multiplies.

    Args:
      hyper: dynamic numbers, a :class:`Hyper`.
      dtype: dtype of the parameters.
      count: number of fits, for (count,) fields; None for a single fit with () fields.

    Raises:
      TypeError: ``hyper`` is not a Hyper, or a field is not a number.
      ValueError: a field has the wrong shape.
    """
    if not isinstance(hyper, Hyper):
        raise TypeError(
            f"hyper is a {type(hyper).__name__}; give a Hyper, as s3net_jax.hyperparameters(config)"
            " or s3net_jax.grid returns it."
        )

    def read(name: str, value: Any) -> Array:
        try:
            numbers = read_numbers(value)
        except NotNumbersError:
            raise TypeError(f"hyper.{name} is {value!r}; give a number, such as 0.3.") from None
        shape = tuple(numbers.shape)
        if count is None and shape != ():
            raise ValueError(
                f"hyper.{name} has the shape {shape}, but fit takes a single number: use fit_batch "
                "or jax.vmap for several."
            )
        if count is not None and shape not in ((), (count,)):
            raise ValueError(
                f"hyper.{name} has the shape {shape}; give a single number, or one for each of "
                f"the {count} fits."
            )
        if count is not None and isinstance(numbers, np.ndarray):
            numbers = np.broadcast_to(numbers, (count,))
        array = convert_array(numbers, dtype)
        return array if count is None else jnp.broadcast_to(array, (count,))

    names = [field.name for field in dataclasses.fields(Hyper) if field.name != "own"]
    own = {name: read(f"own[{name!r}]", value) for name, value in hyper.own.items()}
    return Hyper(**{name: read(name, getattr(hyper, name)) for name in names}, own=own)


def check_listener(progress: Any) -> None:
    """Raise TypeError unless ``progress`` is None or callable."""
    if progress is not None and not callable(progress):
        raise TypeError(
            f"progress is a {type(progress).__name__}: give a function of the step and its record."
        )


def check_devices(devices: Any) -> Sequence[Any] | None:
    """List the devices to distribute fits over; None stays None.

    Raises:
      ValueError: ``devices`` is empty, holds something else than devices, or repeats one.
    """
    if devices is None:
        return None
    given = [*devices] if hasattr(devices, "__iter__") and not isinstance(devices, str) else []
    if not given or not all(isinstance(device, jax.Device) for device in given):
        raise ValueError(
            f"devices is {devices!r}; give at least one of jax.devices(), or None for the default."
        )
    if len(set(given)) < len(given):
        raise ValueError("devices holds a device more than once; list each device once.")
    return given


def is_traced(*trees: Any) -> bool:
    """Return whether a transformation of JAX traces any leaf of ``trees``."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees))


def read_numbers(value: Any) -> Array | np.ndarray:
    """Return JAX arrays and traced values unchanged; convert anything else to a NumPy array.

    Raises:
      NotNumbersError: ``value`` does not hold real numbers (booleans are refused, too).
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


def convert_array(value: Array | np.ndarray, dtype: Any) -> Array:
    """Convert ``value`` to a JAX array of ``dtype``.

    The result is neither weakly typed nor committed to the default device, since both would
    compile another program. It never shares memory with a NumPy array: on CPUs ``jnp.asarray`` may
    alias one, and the caller could change it during the fit.
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


def _convert_key(key: Any) -> Array:
    """Convert checked keys to typed keys; raw keys get JAX's default implementation."""
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        if isinstance(key, Tracer) or not _is_committed_to_default(key):
            return key
        data = convert_array(jax.random.key_data(key), jnp.uint32)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))
    return jax.random.wrap_key_data(convert_array(key, jnp.uint32))


def _is_committed_to_default(array: Array) -> bool:
    if not array.committed or len(array.devices()) != 1:
        return False
    default: Any = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    if default is None or isinstance(default, str):
        default = jax.local_devices(backend=default)[0]
    return array.devices() == {default}
