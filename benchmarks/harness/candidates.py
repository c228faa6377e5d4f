"""Define the candidates to time: steps and whole fits of ours and of others, by name."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.harness.machine import (
    allow_tf32,
    get_torch_device,
    has_torch,
    is_on_gpu,
    synchronise,
)
from benchmarks.harness.presets import load_preset
from benchmarks.harness.stock_flax import StockS3Net
from s3net_jax.config import Config
from s3net_jax.fitting import (
    StepInputs,
    fit,
    hyperparameters,
    initial_params,
    make_graph,
    make_optimizer,
    prepare_data,
    train_step,
)
from s3net_jax.methods import get_method

if TYPE_CHECKING:
    from benchmarks.torch_reference import BaseTrainer

__all__ = [
    "COMPILED",
    "EAGER",
    "KEPT",
    "LOOP",
    "OURS",
    "PLAIN",
    "STOCK",
    "TORCH",
    "USUAL",
    "XLA",
    "Candidate",
    "build",
    "draw_picture",
    "list_fit_candidates",
    "list_step_candidates",
]

Run = Callable[[], object]
OURS, EAGER, COMPILED, STOCK = "s3net-jax", "torch eager", "torch.compile", "stock Flax"
PLAIN = "torch eager, plain"
"""PyTorch as first written; the other two candidates are as fast as we could make them."""
TORCH = (EAGER, PLAIN, COMPILED)
USUAL = ("paper", "released")
"""Presets timed by default."""
KEPT = ", memory kept"
"""Suffix of candidates whose process keeps the memory it frees."""
LOOP = ", step by step"
"""Suffix of candidates that call one step at a time from Python."""
XLA = ", XLA only"
_MANY_STEPS = 10  # number of steps from which a fit or loop counts as long (Candidate.long)
_TOO_MANY = 32
"""Number of images from which the XLA-only candidate is left out on a GPU: it needs 1.5 GiB for
each image, and four processes share the memory."""
_MODELS: dict[str, dict[str, str]] = {
    f"{OURS}, bfloat16 products": {"precision": "bfloat16"},
    f"{OURS}{XLA}": {"implementation": "xla"},
    STOCK: {"implementation": "xla"},
}


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A step, or a whole fit without early stops, of one implementation.

    Attributes:
      suite: ``step``, ``fit``, or ``loop`` (steps of a fit called one at a time).
      name: name of the implementation; see :func:`list_step_candidates` and
        :func:`list_fit_candidates`.
      preset, size, channels, dtype: configuration, in the released order of the inception.
      steps: number of steps of a fit or loop.
      images: number of images that a fit processes at once.
    """

    suite: str
    name: str
    preset: str
    size: int
    channels: int
    dtype: str
    steps: int = 50
    images: int = 1

    @property
    def torch(self) -> bool:
        """Whether the candidate runs in PyTorch."""
        return self.name.startswith("torch")

    @property
    def long(self) -> bool:
        """Whether a call is so long that allocating memory barely counts, so no warm-up is needed.

        Allocation is about 2 % of a step of stock Flax, which takes half a minute, and a fit
        allocates only once.
        """
        return self.name == STOCK or (self.suite != "step" and self.steps >= _MANY_STEPS)


def list_step_candidates(preset: str, size: int, channels: int, dtype: str) -> dict[str, Candidate]:
    """List the candidates for one step by name: ours, stock Flax (in float32) and PyTorch."""
    # Stock Flax ignores the dtype and computes in float32: not comparable with bfloat16.
    has_stock = dtype == "float32" and load_preset(preset).method.name == "s3net"
    stock = [STOCK] if has_stock else []
    names = [*_list_ours(dtype), *stock, *_list_torch()]
    if not is_on_gpu():
        names += [name + KEPT for name in names if name in (OURS, EAGER)]
        names.append(f"{OURS}{XLA}")
    return {n: Candidate("step", n, preset, size, channels, dtype) for n in names}


def list_fit_candidates(
    preset: str, size: int, channels: int, dtype: str, steps: int, images: Sequence[int]
) -> dict[str, Candidate]:
    """List the candidates for whole fits by name: ours with each number of ``images`` at once, ours
    step by step, and PyTorch."""
    found = {}
    for name in _list_ours(dtype):
        for n in images:
            if is_on_gpu() and name.endswith(XLA) and n >= _TOO_MANY:
                continue
            full = f"{name}, {n} at once" if n > 1 else name
            found[full] = Candidate("fit", name, preset, size, channels, dtype, steps, n)
    for kept in ("",) if is_on_gpu() else ("", KEPT):
        name = f"{OURS}{kept}"
        loop = Candidate("loop", name, preset, size, channels, dtype, steps)
        found[f"{OURS}{LOOP}{kept}"] = loop
    for name in _list_torch():
        found[name] = Candidate("fit", name, preset, size, channels, dtype, steps)
    return found


def _list_ours(dtype: str) -> list[str]:
    """List our implementations worth timing on this platform."""
    if is_on_gpu():
        return [OURS, f"{OURS}{XLA}"]
    return [OURS, f"{OURS}, bfloat16 products"] if dtype == "float32" else [OURS]


def _list_torch() -> list[str]:
    """List PyTorch's candidates; a GPU has fast operators, so the plain network is left out."""
    if not has_torch():
        return []
    return [EAGER, COMPILED] if is_on_gpu() else [EAGER, PLAIN, COMPILED]


def draw_picture(size: int) -> np.ndarray:
    """Draw smooth random colours with a fixed seed: (size, size, 3) float32 in [0, 1]."""
    random = np.random.default_rng(0)
    coarse = random.random((8, 8, 3)).astype(np.float32)
    return np.asarray(jax.image.resize(jnp.asarray(coarse), (size, size, 3), "cubic").clip(0, 1))


def _build_step(config: Config, image: np.ndarray, stock: bool = False) -> tuple[Run, float]:
    """Build a function that runs one step and waits; also return its compile time in seconds.

    Args:
      config: configuration of any method.
      image: (H, W, 3) prepared image.
      stock: whether S3-Net is built from stock Flax layers.
    """
    shape = (image.shape[0], image.shape[1], image.shape[2])
    method, hyper = get_method(config.method.name), hyperparameters(config)
    data = jax.tree.map(lambda a: a[None], prepare_data(image, config))

    def build_stock(key) -> StockS3Net:
        return StockS3Net(config.model, shape[:2], rngs=nnx.Rngs(params=key))

    if stock:
        network = nnx.eval_shape(lambda: build_stock(jax.random.key(0)))
        graph, _ = nnx.split(network, nnx.Param)
    else:
        graph = make_graph(config, shape)

    def begin(key, picture):
        if stock:
            params = nnx.state(build_stock(key), nnx.Param)
        else:
            params = initial_params(key, config, shape)
        draws = jax.random.key(1)
        inputs = StepInputs(picture[None], hyper, key=draws, step=jnp.int32(0), data=data)
        if method.start is not None:
            inputs = method.start(draws, inputs, config)
        if method.draw is not None:
            inputs = method.draw(inputs, config)
        return (params, make_optimizer(hyper, config).init(params)), inputs

    # One program: a hundred small ones would stay in memory and count towards the step's peak.
    state, inputs = jax.jit(begin)(jax.random.key(0), image)

    def step(params, momentum):
        # Pass dynamic numbers as Python floats, which become constants instead of arguments.
        constant = dataclasses.replace(inputs, hyper=hyper)
        return train_step(graph, params, momentum, constant, config)[:3]

    start = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(*state).compile()
    seconds = time.perf_counter() - start

    def run() -> object:
        nonlocal state
        *state, record = compiled(*state)
        return jax.block_until_ready(record)

    return run, seconds


def _build_trainer(config: Config, image: np.ndarray, name: str) -> BaseTrainer[Any]:
    """Build the trainer of the PyTorch reference: eager, plain or compiled."""
    from benchmarks import torch_reference as reference

    allow_tf32()
    options = reference.PLAIN if name == PLAIN else reference.Options(compile=name == COMPILED)
    return reference.make_trainer(image, config, device=get_torch_device(), options=options)


def _build_torch_step(config: Config, image: np.ndarray, name: str) -> tuple[Run, float]:
    """Build a step as :func:`_build_step` does, in PyTorch."""
    trainer = _build_trainer(config, image, name)

    def run() -> None:
        trainer.step()
        synchronise()

    start = time.perf_counter()
    if name == COMPILED:
        run()
    return run, time.perf_counter() - start


def build(candidate: Candidate) -> tuple[Run, float]:
    """Build the function to time, and return its compile time in seconds (0: at the first call)."""
    c = candidate
    name = c.name.removesuffix(KEPT)
    image = draw_picture(c.size)
    config = load_preset(c.preset).replace(
        input={"size": c.size},
        model={"channels": c.channels, "dtype": c.dtype, **_MODELS.get(name, {})},
        fit={"steps": c.steps, "stop_labels": 0},
    )
    if name == COMPILED:
        import torch

        # Graphs compiled for another preset would change how this one is compiled.
        torch._dynamo.reset()
    if c.suite == "fit":
        return _build_torch_fit(config, image, name) if c.torch else _build_fit(
            config, image, c.images
        ), 0
    if c.torch:
        return _build_torch_step(config, image, name)
    run, seconds = _build_step(config, image, stock=name == STOCK)
    if c.suite == "loop":
        return lambda: [run() for _ in range(c.steps)], seconds
    return run, seconds


def _build_fit(config: Config, image: np.ndarray, images: int) -> Run:
    """Build fits of ``images`` copies of an image with different keys, vmapped if several."""
    keys = jax.random.split(jax.random.key(0), images)
    array = jnp.asarray(image)
    if images == 1:
        return lambda: jax.block_until_ready(fit(keys[0], array, config))
    many = jax.jit(jax.vmap(lambda key: fit(key, array, config).labels))
    return lambda: jax.block_until_ready(many(keys))


def _build_torch_fit(config: Config, image: np.ndarray, name: str) -> Run:
    def run() -> object:
        trainer = _build_trainer(config, image, name)
        for _ in range(config.fit.steps):
            trainer.step()
        synchronise()
        return trainer

    return run
