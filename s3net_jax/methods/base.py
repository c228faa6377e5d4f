"""What makes a method: a module, an objective, an optimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import optax
from flax import nnx
from jax import Array

from s3net_jax.config import Config, MethodConfig
from s3net_jax.methods.inputs import Forward, Hyper, StepInputs

__all__ = ["Method", "Shape", "make_sgd"]

Shape = tuple[int, int, int]
"""(H, W, C) of a prepared image."""


def make_sgd(hyper: Hyper, config: Config) -> optax.GradientTransformation:
    """Make SGD with momentum; learning rate and momentum may be traced."""
    del config
    # optax accepts any scalar as momentum, but its annotation says float.
    return optax.sgd(hyper.learning_rate, hyper.momentum)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Method:
    """A method of unsupervised segmentation that trains a network on one image.

    :func:`s3net_jax.fit` runs it in one compiled program: ``fit.steps`` times it computes the
    objective and its gradient and updates the parameters; the final label map is the argmax of
    ``compute_logits``. Batches, target choice, masks, evaluation, engines and reports work with
    every method. All functions but ``prepare``, ``read_data``, ``check_shape`` and ``count_values``
    are traced by JAX: they must be pure. Initial parameters must be drawn with
    :mod:`s3net_jax.nn.draws` or from ``rngs.params()``.

    Attributes:
      config: class of the method's settings, whose default ``name`` is the method's name.
      build: function that makes the network, ``(config, (H, W, C), rngs) -> nnx.Module``.
      objective: function that computes the loss, ``(module, inputs, config) -> Forward``.
      compute_logits: function ``(module, images (N, H, W, C), config) -> (N, H, W, K)``.
      terms: names of the terms in :attr:`Forward.terms`.
      optimizer: function ``(hyper, config) -> optax.GradientTransformation``.
      prepare: function that computes further arrays from a prepared image on the host,
        ``(image (H, W, C), config) -> pytree``; objectives read it as ``inputs.data``.
      read_data: function that checks and converts data which only a caller can have, the argument
        ``data`` of a fit, ``(data, (H, W), config) -> pytree``. A batch passes (B, H, W), and
        every leaf must have the leading axis. Without data, ``inputs.data`` is None.
      data_terms: names of terms that the objective computes only with such data.
      count_values: function ``(config, (H, W)) -> int`` that estimates how many numbers in the
        model's dtype a fit holds at its peak on a CPU, from which the number of worker processes is
        planned. None estimates 180 feature maps, which is enough for S3-Net.
      count_stop_labels: function ``(inputs, config) -> () int32`` that replaces the number
        ``fit.stop_labels`` of an early stop.
      check_shape: function ``((H, W, C), config)`` that raises ValueError for an image that the
        network can't take.
      start: function ``(key, inputs, config) -> StepInputs`` that sets the inputs that are the same
        in every step.
      draw: function ``(inputs, config) -> StepInputs`` that sets those of one step, drawn with
        ``inputs.key``.
      step: function that runs a step in place of one gradient of the objective and one update,
        ``(graph, params, optimizer_state, inputs, config) -> (params, optimizer_state, Forward)``.
      fit_images: function that trains on many images in place of steps on mini-batches,
        ``(key, images (N, H, W, C), config, *, batch, progress) -> params``.
    """

    config: type[MethodConfig]
    build: Callable[[Config, Shape, nnx.Rngs], nnx.Module]
    objective: Callable[[Any, StepInputs, Config], Forward]
    compute_logits: Callable[[Any, Array, Config], Array]
    terms: tuple[str, ...]
    optimizer: Callable[[Hyper, Config], optax.GradientTransformation] = make_sgd
    prepare: Callable[[np.ndarray, Config], Any] | None = None
    read_data: Callable[[Any, tuple[int, ...], Config], Any] | None = None
    data_terms: tuple[str, ...] = ()
    count_values: Callable[[Config, tuple[int, int]], int] | None = None
    count_stop_labels: Callable[[StepInputs, Config], Array | int] | None = None
    check_shape: Callable[[Shape, Config], None] | None = None
    start: Callable[[Array, StepInputs, Config], StepInputs] | None = None
    draw: Callable[[StepInputs, Config], StepInputs] | None = None
    step: Callable[..., tuple[Any, Any, Forward]] | None = None
    fit_images: Callable[..., Any] | None = None

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.config().name
