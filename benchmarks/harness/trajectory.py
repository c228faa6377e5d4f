"""Run the same fit in both frameworks and several dtypes, to see how rounding errors grow."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness.machine import get_torch_device, has_torch
from s3net_jax import fitting
from s3net_jax.config import Config
from s3net_jax.interop import from_torch, to_torch
from s3net_jax.ops import draw_affine

__all__ = ["compare_trajectories"]

_KEY = 3  # seed of parameters, transforms and palette


def compare_trajectories(
    config: Config, size: int, dtypes: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Compare every fit with our float64 fit, step by step.

    All fits start from the same parameters and use the same transforms and palette.

    Args:
      config: configuration, usually a preset with few channels.
      size: side of the image in pixels.
      dtypes: dtypes of the fits to compare.

    Returns:
      A row for each framework and dtype, with values for each step: ``cross_entropy``, its relative
      difference, and ``labels``, the fraction of pixels with the same label. The hard spatial loss
      is not compared, because it depends on a random palette that differs in float64.
    """
    image, state, transforms = _build_problem(config, size)
    config = config.replace(fit={"stop_labels": 0, "record_labels": True})
    true = _run_ours(config, "float64", image, state, transforms, "auto")
    rows = []
    for dtype in dtypes:
        fits = {"s3net-jax": _run_ours(config, dtype, image, state, transforms, None)}
        fits["s3net-jax, XLA only"] = _run_ours(config, dtype, image, state, transforms, "xla")
        if has_torch():
            fits["torch"] = _run_theirs(config, dtype, image, state, transforms)
        for name, (loss, labels) in fits.items():
            rows.append(
                {
                    "implementation": name,
                    "dtype": dtype,
                    "cross_entropy": (np.abs(loss - true[0]) / np.abs(true[0])).tolist(),
                    "labels": (labels == true[1]).mean((1, 2)).tolist(),
                }
            )
    return rows


def _build_problem(
    config: Config, size: int
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    disc = (y - 0.45) ** 2 + (x - 0.4) ** 2 < 0.0625
    image = np.where(disc[..., None], (0.3, 0.2, 0.15), (0.8, 0.65, 0.6))
    image = np.clip(image + random.normal(0, 0.08, image.shape), 0, 1)
    with jax.enable_x64(True):
        key = jax.random.key(_KEY)
        start = fitting.initial_params(key, config, (size, size, 3))
        state = {name: np.asarray(a) for name, a in to_torch(start).items()}
        draws = [
            draw_affine(jax.random.fold_in(key, n), config.loss.affine, (size, size), jnp.float64)
            for n in range(config.fit.steps)
        ]
        return image, state, np.stack(draws)


def _run_ours(
    config: Config, dtype: str, image: Any, state: Any, transforms: Any, implementation: str | None
) -> tuple[np.ndarray, np.ndarray]:
    double = dtype == "float64"
    # Run float64 on the CPU, because the GPU kernels do not support it.
    place = jax.devices("cpu")[0] if double else jax.devices()[0]
    wide = "float64" if double else "float32"
    changes = {"dtype": dtype, "implementation": implementation or config.model.implementation}
    if double:
        changes["implementation"] = "xla"
    with jax.enable_x64(double), jax.default_device(place):
        result = fitting.fit(
            jax.random.key(_KEY),
            jnp.asarray(image, wide),
            config.replace(model=changes),
            params=from_torch(state),
            transforms=jnp.asarray(transforms, wide),
        )
        return np.asarray(result.history["ce"], np.float64), np.asarray(result.label_maps)


def _run_theirs(
    config: Config, dtype: str, image: Any, state: Any, transforms: Any
) -> tuple[np.ndarray, np.ndarray]:
    from benchmarks.torch_reference import fit

    # The palette comes from the third key that a fit splits off.
    key = jax.random.split(jax.random.key(_KEY), 3)[2]
    palette = np.asarray(jax.random.uniform(key, (config.model.channels,)))
    result = fit(
        image,
        config.replace(model={"dtype": dtype}),
        state=state,
        transforms=list(transforms),
        palette=palette,
        device=get_torch_device(),
    )
    assert result.label_maps is not None
    return np.asarray(result.history["ce"], np.float64), result.label_maps
