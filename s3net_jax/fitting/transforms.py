"""Read the transforms that a caller gives in place of random affine ones, and apply them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.tree_util import Partial
from jax.typing import ArrayLike

from s3net_jax.config import Config
from s3net_jax.errors import NotNumbersError
from s3net_jax.fitting.checks import convert_array, read_numbers
from s3net_jax.fitting.custom import check_bound, read_partial
from s3net_jax.methods import StepInputs

__all__ = ["Transforms", "read_transforms", "set_transform"]

Transforms = ArrayLike | Callable[..., Array]
"""(steps, 2, 3) matrices, (steps, H, W, 2) coordinates, or a function ``(key, (H, W)) -> matrix or
coordinates`` of one step."""


def read_transforms(
    transforms: Any,
    config: Config,
    dtype: jnp.dtype,
    shape: tuple[int, int],
    count: int | None = None,
) -> Array | Partial | None:
    """Convert ``transforms`` to an array of ``dtype`` or a ``Partial``; None stays None.

    Args:
      transforms: argument of the caller, see :data:`Transforms`.
      config: configuration of the fit.
      dtype: dtype of the parameters.
      shape: size of the prepared image, (H, W).
      count: number of fits B. Arrays then get a leading axis of B, which may be given or missing;
        arrays bound to a function must have it. None for a single fit.

    Returns:
      (steps, 2, 3) matrices, (steps, H, W, 2) coordinates, a function with its bound arrays, or
      None.

    Raises:
      TypeError: ``transforms`` does not hold numbers.
      ValueError: ``transforms`` has another shape, or the method transforms nothing.
    """
    if transforms is None:
        return None
    if config.method.name != "s3net":
        raise ValueError(
            f"The method {config.method.name} does not use transforms. Drop transforms."
        )
    if callable(transforms):
        return check_bound("transforms", read_partial("transforms", transforms, dtype), count)
    steps = config.fit.steps
    try:
        numbers = read_numbers(transforms)
    except NotNumbersError as error:
        raise TypeError(
            f"transforms is {error}; give an array of numbers of shape ({steps}, 2, 3), made of "
            "matrices from s3net_jax.ops.affine_matrix, coordinates of shape "
            f"({steps}, {shape[0]}, {shape[1]}, 2), or a function of a key and (H, W)."
        ) from None
    kinds = [(steps, 2, 3), (steps, *shape, 2)]
    for kind in kinds:
        every = kind if count is None else (count, *kind)
        if tuple(numbers.shape) in (kind, every):
            array = convert_array(numbers, dtype)
            return array if array.shape == every else jnp.broadcast_to(array, every)
    batch = "" if count is None else f", or one of these with a leading axis of {count}"
    raise ValueError(
        f"transforms has the shape {tuple(numbers.shape)}; for {steps} steps it must be "
        f"{kinds[0]} or {kinds[1]}{batch}."
    )


def set_transform(inputs: StepInputs, transforms: Array | Partial | None) -> StepInputs:
    """Set the transform of a step.

    Args:
      inputs: inputs of the step, with its ``key`` and ``step``.
      transforms: result of :func:`read_transforms` for one fit.

    Raises:
      ValueError: the function returns something else than a matrix or coordinates.
    """
    if transforms is None:
        return inputs
    shape = inputs.images.shape[1], inputs.images.shape[2]
    if callable(transforms):
        found = jnp.asarray(transforms(inputs.key, shape))
        if found.shape not in ((2, 3), (*shape, 2)):
            raise ValueError(
                f"transforms returned an array of the shape {found.shape}; it must return a matrix "
                f"(2, 3), or coordinates {(*shape, 2)}."
            )
    else:
        found = transforms[inputs.step]
    found = found.astype(inputs.images.dtype)
    name = "matrix" if found.ndim == 2 else "coordinates"
    return dataclasses.replace(inputs, **{name: found})
