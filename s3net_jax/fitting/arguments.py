"""What :func:`fit` and :func:`fit_batch` are given, checked before anything is compiled."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from s3net_jax.fitting.hyper import Hyper

__all__ = ["check_devices", "check_hyper", "check_image", "check_key", "check_numbers", "pixels_of"]

_HELP = "s3net_jax.prepare(image, config) makes the network's input of any image"


def pixels_of(image: Any) -> Array:
    """``image`` as an array; raises TypeError unless it holds floating point numbers."""
    try:
        array = jnp.asarray(image)
    except (TypeError, ValueError):
        raise TypeError(f"fit takes arrays, not a {type(image).__name__}: {_HELP}.") from None
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"fit takes floating point in [0, 1]; the image given is {array.dtype}: {_HELP}."
        )
    return array


def check_image(shape: tuple[int, ...]) -> None:
    """Raises ValueError unless ``shape`` is (H, W, 3), H and W at least 8."""
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(f"fit takes an image (H, W, 3); the shape given is {shape}.")
    if min(shape[:2]) < 8:
        raise ValueError(f"fit takes images of at least 8×8 pixels; this one is {shape[:2]}.")


def check_key(key: Any) -> tuple[int, ...]:
    """The shape of an array of PRNG keys, () of one; raises TypeError for anything else."""
    dtype, shape = getattr(key, "dtype", None), getattr(key, "shape", ())
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return tuple(shape)
    if dtype == jnp.uint32 and len(shape) > 0:  # of jax.random.PRNGKey
        return tuple(shape[:-1])
    given = repr(key) if isinstance(key, int) else f"a {type(key).__name__}"
    given = given if dtype is None else f"an array of {dtype} {tuple(shape)}"
    raise TypeError(f"The key is {given}: give a PRNG key, such as jax.random.key(0).")


def check_hyper(hyper: Any) -> None:
    """Raises TypeError unless ``hyper`` is a Hyper."""
    if not isinstance(hyper, Hyper):
        raise TypeError(
            f"hyper is a {type(hyper).__name__}, where a Hyper is expected: "
            "s3net_jax.hyperparameters(config) gives one, s3net_jax.grid several."
        )


def check_numbers(hyper: Hyper) -> None:
    """Raises ValueError unless ``hyper`` is for a single fit."""
    for field in dataclasses.fields(hyper):
        shape = np.shape(getattr(hyper, field.name))
        if shape != ():
            raise ValueError(
                f"hyper.{field.name} has the shape {shape}: fit takes single numbers, fit_batch "
                "or jax.vmap several."
            )


def check_devices(devices: Any) -> Sequence[Any] | None:
    """Devices to share fits out over; raises ValueError unless they are some, each once."""
    if devices is None:
        return None
    given = [*devices] if hasattr(devices, "__iter__") and not isinstance(devices, str) else []
    if not given or not all(isinstance(device, jax.Device) for device in given):
        raise ValueError(
            f"devices is {devices!r}: give at least one of jax.devices(), or None for the default."
        )
    if len(set(given)) < len(given):
        raise ValueError("devices names a device more than once.")
    return given
