"""Stand-ins for slow parts, for tests of what surrounds them."""

from __future__ import annotations

import sys
from typing import Any

import jax.numpy as jnp
import pytest

from s3net_jax.config import Config
from s3net_jax.fitting import FitResult

__all__ = ["brightness_fit", "install_fit"]


def brightness_fit(
    key: Any, image: Any, config: Config, *, progress: Any = None, **_: Any
) -> FitResult:
    """Like ``fit``, but its clusters are three ranges of brightness."""
    grey = jnp.mean(image, -1)
    logits = -jnp.abs(grey[..., None] - jnp.array([0.1, 0.5, 0.9])) * 30
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
        label_maps=None,
        params=None,
    )


def install_fit(monkeypatch: pytest.MonkeyPatch, fit: Any = brightness_fit) -> None:
    """Puts ``fit`` in the place of the real one, until the test ends."""
    monkeypatch.setattr(sys.modules["s3net_jax.fitting"], "fit", fit)
