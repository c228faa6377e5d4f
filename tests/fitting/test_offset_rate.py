"""Offsets learn at a rate of their own; everything else learns as without it."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest

import s3net_jax as s3

KEY = jax.random.key(0)
IMAGE = np.random.default_rng(0).random((16, 16, 3)).astype(np.float32)


def fit_once(deform: str, rate: float, steps: int = 1) -> dict[str, np.ndarray]:
    """Fit some steps, and return the parameters by path."""
    config = s3.preset("released" if deform == "free" else "paper").replace(
        model={"channels": 4, "blocks": 1, "deform": deform},
        fit={"steps": steps, "stop_labels": 0, "offset_rate": rate},
    )
    found: Any = s3.fit(KEY, IMAGE, config)
    leaves = jax.tree_util.tree_leaves_with_path(found.params)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def split(name: str, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a parameter into the part that makes offsets and the rest."""
    if "predict" in name:
        count = value.shape[-1] // 3 * 2
        return value[..., :count], value[..., count:]
    if "offset" in name:
        return value, value[..., :0]
    return value[..., :0], value


@pytest.mark.parametrize("deform", ["predicted", "free"])
def test_a_step_moves_offsets_by_their_rate(deform: str) -> None:
    none, half, whole = (fit_once(deform, rate) for rate in (0, 0.5, 1))
    moved = 0
    for name in whole:
        start, rest = split(name, none[name])
        middle, also = split(name, half[name])
        end, plain = split(name, whole[name])
        np.testing.assert_array_equal(rest, plain)
        np.testing.assert_array_equal(also, plain)
        np.testing.assert_allclose(middle - start, (end - start) / 2, rtol=1e-3, atol=1e-6)
        moved += np.count_nonzero(end != start)
    assert moved > 0


def test_a_rate_of_zero_keeps_predicted_offsets_at_zero() -> None:
    offsets = [
        split(name, value)[0]
        for name, value in fit_once("predicted", 0, steps=3).items()
        if "predict" in name
    ]
    assert offsets and all(not part.any() for part in offsets)
