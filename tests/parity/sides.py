"""The same parameters, image, transform and palette on both sides; what each computes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from benchmarks.torch_reference import Trainer
from s3net_jax.config import Config
from s3net_jax.fitting import StepInputs, hyperparameters, initial_params, objective
from s3net_jax.interop import from_torch, to_torch
from s3net_jax.nn import S3Net

__all__ = ["Problem", "find_largest_errors", "make_problem", "run_jax", "run_torch"]

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Problem:
    """Everything that decides one step; arrays in float64, ``state`` by PyTorch's names."""

    config: Config
    image: np.ndarray
    matrix: np.ndarray
    palette: np.ndarray
    state: Arrays


def make_problem(config: Config, shape: tuple[int, int] = (20, 28), seed: int = 0) -> Problem:
    """A problem in which no parameter stands at a special value, such as zero offsets.

    Args:
      config: with few channels.
      shape: (H, W).
      seed: of the image, of the parameters and of the palette.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    disc = (y - 0.45 * shape[0]) ** 2 + (x - 0.4 * shape[1]) ** 2 < (0.25 * shape[0]) ** 2
    image = np.where(disc[..., None], (0.3, 0.2, 0.15), (0.8, 0.65, 0.6))
    image = np.clip(image + random.normal(0, 0.08, image.shape), 0, 1)
    with jax.enable_x64(True):
        start = to_torch(initial_params(jax.random.key(seed), config, (*shape, 3)))
    state = {
        name: np.asarray(a, np.float64) + random.normal(0, 0.05, a.shape)
        for name, a in start.items()
    }
    # Rotation, zoom, shear and shift, in numbers that put no source half-way between pixels,
    # where rounding errors would choose the nearest label.
    matrix = np.array([[0.8517, 0.4523, -1.3141], [-0.3519, 0.9027, 1.7159]])
    return Problem(config, image, matrix, random.random(config.model.channels), state)


def run_torch(p: Problem) -> Arrays:
    """Logits, auxiliary logits, terms of the loss and gradients, by name."""
    trainer = Trainer(p.image, p.config, state=p.state, palette=p.palette)
    matrix = torch.as_tensor(p.matrix, dtype=trainer.dtype)
    logits, auxiliary = trainer.model(trainer.images)
    loss, terms, labels = trainer.objective(
        trainer.model, trainer.images, p.config.loss, matrix, trainer.palette
    )
    loss.backward()
    gradients = {
        f"gradient of {name}": parameter.grad
        for name, parameter in trainer.model.named_parameters()
        if parameter.grad is not None
    }
    maps = {"logits": logits, "auxiliary": auxiliary}
    maps = {name: a.permute(0, 2, 3, 1) for name, a in maps.items()}
    everything = {**maps, **terms, "label map": labels, **gradients}
    return {name: a.detach().numpy() for name, a in everything.items()}


def run_jax(p: Problem) -> Arrays:
    """The same of our implementation; one compiled program."""
    dtype = p.config.model.dtype
    with jax.enable_x64(dtype == "float64"):
        shape = (p.image.shape[0], p.image.shape[1])
        graph = nnx.graphdef(S3Net(p.config.model, shape, rngs=nnx.Rngs(0)))
        params = jax.tree.map(lambda a: jnp.asarray(a, dtype), from_torch(p.state))
        images, matrix, palette = (
            jnp.asarray(a, dtype) for a in (p.image[None], p.matrix, p.palette)
        )

        def compute_loss(params: Any):
            model = nnx.merge(graph, nnx.State(params))
            inputs = StepInputs(images, hyperparameters(p.config), matrix, palette)
            result = objective(model, inputs, p.config)
            return result.loss, ({"loss": result.loss, **result.terms}, result.labels)

        @jax.jit
        def run(params: Any):
            logits, auxiliary = nnx.merge(graph, nnx.State(params))(images)
            gradient, (terms, labels) = jax.grad(compute_loss, has_aux=True)(params)
            maps = {"logits": logits, "auxiliary": auxiliary, "label map": labels}
            return maps, terms, gradient

        maps, terms, gradient = jax.device_get(run(params))
    gradients = {f"gradient of {name}": a for name, a in to_torch(gradient).items()}
    return {**maps, **terms, **gradients}


def find_largest_errors(ours: Arrays, theirs: Arrays) -> dict[str, float]:
    """Largest difference by name, relative to the largest value of that name.

    A bias before a normalisation has no gradient but rounding errors: for gradients the scale
    is at least a hundredth of the largest gradient of all.
    """
    gradients = [np.abs(a).max() for name, a in theirs.items() if name.startswith("gradient")]
    floor = 1e-2 * max(gradients, default=0)
    errors = {}
    for name, expected in theirs.items():
        scale = np.abs(expected).max()
        if name.startswith("gradient"):
            scale = max(scale, floor)
        errors[name] = float(np.abs(ours[name] - expected).max() / max(scale, 1e-300))
    return errors
