"""Stand-ins for slow parts, for tests of what surrounds them."""

from __future__ import annotations

import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s3net_jax.config import Config
from s3net_jax.fitting import FitResult

__all__ = [
    "fit_brightness",
    "install_fit",
    "install_training",
    "make_fit_batch",
    "resample_less",
]


def fit_brightness(
    key: Any, image: Any, config: Config, *, progress: Any = None, **_: Any
) -> FitResult:
    """Like ``fit``, but its clusters are three ranges of brightness."""
    logits = _compare_brightness(image)
    steps = config.fit.steps
    falling = jnp.linspace(1, 0.5, steps)
    if progress is not None:
        for step in range(steps):
            progress(step + 1, {"loss": float(falling[step]), "labels": 3})
    history = dict.fromkeys(("loss", "ce", "affine", "spatial"), falling)
    return FitResult(
        labels=jnp.argmax(logits, -1),
        logits=logits,
        history={**history, "labels": jnp.full(steps, 3)},
        steps=jnp.int32(steps),
        label_maps=jnp.stack([jnp.argmax(logits, -1).astype(jnp.int16)] * steps)
        if config.fit.record_labels
        else None,
        params=None,
    )


def _compare_brightness(image: Any) -> Any:
    """Logits of three ranges of brightness."""
    grey = jnp.mean(image, -1)
    return -jnp.abs(grey[..., None] - jnp.array([0.1, 0.5, 0.9])) * 30


def make_fit_batch(fit: Any) -> Any:
    """A ``fit_batch`` that calls ``fit`` for each image."""

    def fit_batch(keys: Any, images: Any, config: Config, *, progress: Any = None, **_: Any) -> Any:
        def tell(step: int, record: dict[str, Any]) -> None:
            if progress is not None:
                progress(step, {**record, "running": len(keys)})

        singles = [fit(k, i, config, progress=tell) for k, i in zip(keys, images, strict=True)]
        return jax.tree.map(lambda *each: np.stack(each), *singles)

    return fit_batch


def install_fit(monkeypatch: pytest.MonkeyPatch, fit: Any = fit_brightness) -> None:
    """Puts ``fit`` in the place of the real one, until the test ends."""
    import s3net_jax.fitting  # noqa: F401 (only then is it in sys.modules)

    fitting = sys.modules["s3net_jax.fitting"]
    monkeypatch.setattr(fitting, "fit", fit)
    monkeypatch.setattr(fitting, "fit_batch", make_fit_batch(fit))
    monkeypatch.setattr(fitting, "batch_bytes", lambda *_: 1)


def install_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a training without steps in the place of the real one, until the test ends. Its networks
    depend on the images and the key, and predict three ranges of brightness. A rate above 1
    diverges."""
    import s3net_jax.fitting  # noqa: F401 (only then is it in sys.modules)

    def fit_dataset(
        key: Any,
        images: Any,
        config: Config,
        *,
        batch: int | None = None,
        keep_steps: bool = False,
        progress: Any = None,
    ) -> Any:
        for step in range(config.fit.steps):
            if progress is not None:
                progress(step + 1, {"loss": 1 / (step + 1)})
        mean = jnp.mean(jnp.asarray(images)) * (jnp.nan if config.fit.learning_rate > 1 else 1)
        params = {"mean": mean, "draw": jax.random.uniform(key)}
        steps = jnp.arange(config.fit.steps)
        return jax.tree.map(lambda leaf: leaf + 0 * steps, params) if keep_steps else params

    fitting = sys.modules["s3net_jax.fitting"]
    monkeypatch.setattr(fitting, "fit_dataset", fit_dataset)
    monkeypatch.setattr(
        fitting, "predict", lambda params, image, config: _compare_brightness(image)
    )


def resample_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make bootstrap intervals of few resamples until the test ends: thousands of them take a
    quarter of the time of a small evaluation."""
    monkeypatch.setattr("s3net_jax.evaluate.statistics._RESAMPLES", 200)
