"""Read the arguments of one fit, for all functions that begin one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
from jax import Array
from jax.tree_util import Partial
from jax.typing import ArrayLike

from s3net_jax.config import Config
from s3net_jax.fitting.checks import (
    check_image,
    check_trained_on_image,
    read_hyper,
    read_keys,
    read_pixels,
)
from s3net_jax.fitting.custom import NO_HOOKS, ExtraLoss, Hooks, read_extra
from s3net_jax.fitting.data import add_axis, read_data
from s3net_jax.fitting.hyper import hyperparameters
from s3net_jax.fitting.initial import read_params
from s3net_jax.fitting.step import FitState, begin
from s3net_jax.fitting.transforms import Transforms, read_transforms
from s3net_jax.methods import Hyper, StepInputs
from s3net_jax.nn.layers import get_param_dtype

__all__ = ["FitArrays", "begin_fit", "read_arguments"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class FitArrays:
    """The arrays that begin a fit, beside its image; a pytree.

    In a batch of B fits every leaf has a leading axis of B.

    Attributes:
      key: PRNG key.
      hyper: dynamic numbers.
      params: starting parameters, or None for random ones.
      transforms: what replaces random transforms, from :func:`.transforms.read_transforms`.
      extra: custom term of the loss with its bound arrays, or None.
      data: arrays that the method prepared from the image, or None.
    """

    key: Array
    hyper: Hyper
    params: Any = None
    transforms: Array | Partial | None = None
    extra: Partial | None = None
    data: Any = None


def read_arguments(
    key: Array,
    image: ArrayLike,
    config: Config,
    hyper: Hyper | None,
    params: Any,
    transforms: Transforms | None,
    extra_loss: ExtraLoss | None,
    data: Any,
) -> tuple[FitArrays, Array]:
    """Check and convert the arguments of :func:`s3net_jax.fit`.

    Returns:
      ``(arrays, image)``.

    Raises:
      ValueError: an argument has the wrong shape.
      TypeError: an argument has the wrong type.
    """
    check_trained_on_image(config)
    wide = get_param_dtype(config.model.dtype)
    image = read_pixels(image, wide)
    check_image(image.shape, config)
    key = read_keys(key)
    if key.shape != ():
        raise ValueError(
            f"fit takes one key, not keys of the shape {key.shape}: use fit_batch or jax.vmap "
            "for several."
        )
    arrays = FitArrays(
        key=key,
        hyper=read_hyper(hyperparameters(config) if hyper is None else hyper, wide),
        params=read_params(params, config, (image.shape[0], image.shape[1], image.shape[2])),
        transforms=read_transforms(transforms, config, wide, (image.shape[0], image.shape[1])),
        extra=read_extra(extra_loss, wide),
        data=read_data(data, image, config),
    )
    return arrays, image


def begin_fit(arrays: FitArrays, image: Array, config: Config, hooks: Hooks = NO_HOOKS) -> FitState:
    """Make the state before the first step of a fit of an image (H, W, C)."""
    data = add_axis(arrays.data)
    inputs = StepInputs(image[None], arrays.hyper, extra=arrays.extra, data=data)
    return begin(arrays.key, inputs, config, arrays.params, arrays.transforms, hooks)
