"""What is timed against what: a step and a whole fit, ours and others', by name."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import s3net_jax as s3
from benchmarks.machine import has_torch, on_gpu, synchronise, torch_device
from benchmarks.stock_flax import StockS3Net
from s3net_jax.config import Config
from s3net_jax.fitting import fit, hyperparameters, optimizer, train_step
from s3net_jax.nn import S3Net
from s3net_jax.nn.draws import pooled
from s3net_jax.ops import draw_affine

__all__ = ["build_fits", "build_steps", "picture", "step_of", "torch_step"]

Run = Callable[[], object]
EAGER, COMPILED = "torch eager", "torch.compile"


def picture(size: int) -> np.ndarray:
    """(size, size, 3) float32 in [0, 1]: smooth random colours, the same every time."""
    random = np.random.default_rng(0)
    coarse = random.random((8, 8, 3)).astype(np.float32)
    return np.asarray(jax.image.resize(jnp.asarray(coarse), (size, size, 3), "cubic").clip(0, 1))


def _settings(preset: str, size: int, channels: int, dtype: str, steps: int = 50) -> Config:
    return s3.preset(preset).replace(
        input={"size": size},
        model={"channels": channels, "dtype": dtype},
        fit={"steps": steps, "stop_labels": 0},
    )


def _ours(config: Config) -> dict[str, Config]:
    """Our implementations on this platform."""
    found = {"s3net-jax": config}
    if on_gpu():
        found["s3net-jax, Pallas"] = config.replace(model={"implementation": "pallas"})
    else:
        if config.model.dtype == "float32":
            low = config.replace(model={"precision": "bfloat16"})
            found["s3net-jax, bfloat16 products"] = low
        found["s3net-jax, XLA only"] = config.replace(model={"implementation": "xla"})
    return found


def step_of(config: Config, image: np.ndarray, network: type[S3Net] = S3Net) -> tuple[Run, float]:
    """A function that does one step and waits for it, and the seconds its compilation took."""
    shape = (image.shape[0], image.shape[1])

    def build(rngs: nnx.Rngs) -> S3Net:
        return network(config.model, shape, rngs=rngs)

    key = jax.random.key(0)
    net = pooled(build, key) if network is S3Net else build(nnx.Rngs(params=key))
    graph, params = nnx.split(net, nnx.Param)
    hyper = hyperparameters(config)
    momentum = optimizer(hyper).init(params)
    images = jnp.asarray(image)[None]
    matrix = draw_affine(jax.random.key(1), config.loss.affine, shape)
    palette = jnp.linspace(0, 1, config.model.channels)

    def step(params, momentum):
        return train_step(graph, params, momentum, images, hyper, config, matrix, palette)[:3]

    start = time.perf_counter()
    compiled = jax.jit(step, donate_argnums=(0, 1)).lower(params, momentum).compile()
    seconds = time.perf_counter() - start
    state = [params, momentum]

    def run() -> object:
        *state[:], record = compiled(*state)
        return jax.block_until_ready(record)

    return run, seconds


def torch_step(config: Config, image: np.ndarray, compiled: bool = False) -> tuple[Run, float]:
    """As :func:`step_of`, of the PyTorch reference, eager or with ``torch.compile``."""
    from benchmarks.torch_reference import Options, Trainer

    trainer = Trainer(image, config, device=torch_device(), options=Options(compile=compiled))

    def run() -> None:
        trainer.step()
        synchronise()

    start = time.perf_counter()
    if compiled:
        run()
    return run, time.perf_counter() - start


def build_steps(
    preset: str, size: int, channels: int, dtype: str, only: Sequence[str] | None = None
) -> dict[str, tuple[Run, float]]:
    """Name to one step and the seconds of its compilation.

    Args:
      preset, size, channels, dtype: the configuration.
      only: names of the candidates that are built; by default all.
    """
    image, config = picture(size), _settings(preset, size, channels, dtype)
    builds: dict[str, Callable[[], tuple[Run, float]]] = {
        name: (lambda c=c: step_of(c, image)) for name, c in _ours(config).items()
    }
    plain = config.replace(model={"implementation": "xla"})
    builds["stock Flax"] = lambda: step_of(plain, image, StockS3Net)
    if has_torch():
        builds[EAGER] = lambda: torch_step(config, image)
        builds[COMPILED] = lambda: torch_step(config, image, compiled=True)
    return _built(builds, only)


def build_fits(
    preset: str,
    size: int,
    channels: int,
    dtype: str,
    steps: int,
    images: Sequence[int],
    only: Sequence[str] | None = None,
) -> dict[str, tuple[Run, int]]:
    """Name to a whole fit and the number of images it does at once.

    Args:
      preset, size, channels, dtype: the configuration.
      steps: of a fit; early stops are off.
      images: numbers of images that ours does at once.
      only: names of the candidates that are built; by default all.
    """
    image = picture(size)
    config = _settings(preset, size, channels, dtype, steps)
    builds: dict[str, Callable[[], tuple[Run, int]]] = {}
    for name, c in _ours(config).items():
        if name == "s3net-jax, XLA only":
            continue
        for n in images:
            full = f"{name}, {n} at once" if n > 1 else name
            builds[full] = lambda c=c, n=n: (_fit(c, image, n), n)
    if has_torch():
        builds[EAGER] = lambda: (_torch_fit(config, image, False), 1)
        builds[COMPILED] = lambda: (_torch_fit(config, image, True), 1)
    return _built(builds, only)


def _built(builds: dict[str, Callable], only: Sequence[str] | None) -> dict:
    found = {}
    for name, build in builds.items():
        if only and name not in only:
            continue
        try:
            found[name] = build()
        except Exception as error:
            # torch.compile does not work everywhere; ours has to.
            if name != COMPILED:
                raise
            reason = str(error).strip().splitlines()
            print(f"{name} fails: {reason[0] if reason else type(error)}", file=sys.stderr)
    return found


def _fit(config: Config, image: np.ndarray, images: int) -> Run:
    """Fits ``images`` copies of an image from keys of their own, vmapped if several."""
    keys = jax.random.split(jax.random.key(0), images)
    array = jnp.asarray(image)
    if images == 1:
        return lambda: jax.block_until_ready(fit(keys[0], array, config))
    many = jax.jit(jax.vmap(lambda key: fit(key, array, config).labels))
    return lambda: jax.block_until_ready(many(keys))


def _torch_fit(config: Config, image: np.ndarray, compiled: bool) -> Run:
    from benchmarks.torch_reference import Options, Trainer

    def run() -> object:
        options = Options(compile=compiled)
        trainer = Trainer(image, config, device=torch_device(), options=options)
        for _ in range(config.fit.steps):
            trainer.step()
        synchronise()
        return trainer

    return run
