"""Test the palette of the released spatial loss, the grey values of random colours."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.fitting import fit
from s3net_jax.losses import hard_spatial_consistency
from s3net_jax.methods import s3net
from s3net_jax.methods.s3net import draw_palette

KEY = jax.random.key(0)


def draw_released_greys(count: int) -> np.ndarray:
    """Draw greys as the released code does: random colours of three bytes, converted by OpenCV."""
    cv2 = pytest.importorskip("cv2")
    colors = np.random.default_rng(0).integers(0, 256, (count, 1, 3)).astype(np.uint8)
    return cv2.cvtColor(colors, cv2.COLOR_RGB2GRAY).ravel() / 255


def test_has_the_distribution_of_the_released_one() -> None:
    ours = np.sort(draw_palette(KEY, 100_000, np.float32))
    theirs = np.sort(draw_released_greys(100_000))
    # Quantiles of 1e5 draws scatter by 0.001; OpenCV rounds greys to 1/255. Those of U[0, 1)
    # differ from both by up to 0.13.
    np.testing.assert_allclose(ours, theirs, atol=0.01)


def test_the_mean_loss_is_the_released_one_and_not_half_as_much_again() -> None:
    labels = jax.random.randint(jax.random.key(1), (24, 24), 0, 64)
    loss = jax.jit(jax.vmap(lambda palette: hard_spatial_consistency(labels, palette)))
    draws = 300
    ours = loss(jax.vmap(lambda k: draw_palette(k, 64, np.float32))(jax.random.split(KEY, draws)))
    theirs = loss(draw_released_greys(draws * 64).reshape(draws, 64).astype(np.float32))
    uniform = loss(jax.random.uniform(KEY, (draws, 64)))
    # The loss of one palette scatters by some 10 %: the mean of 300 by 0.6 %.
    np.testing.assert_allclose(ours.mean(), theirs.mean(), rtol=0.03)
    np.testing.assert_allclose(uniform.mean() / theirs.mean(), 1.5, rtol=0.05)


@pytest.mark.slow
def test_it_changes_what_is_reported_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    config = s3.preset("released").replace(
        model={"channels": 4, "blocks": 1}, fit={"steps": 3, "stop_labels": 0}
    )
    image = jax.random.uniform(KEY, (12, 12, 3))
    now = fit(KEY, image, config)

    def uniform(key, count, dtype):
        return jax.random.uniform(key, (count,), dtype)

    monkeypatch.setattr(s3net, "draw_palette", uniform)
    jax.clear_caches()
    before = fit(KEY, image, config)
    jax.clear_caches()
    assert np.all(now.history["spatial"] != before.history["spatial"])
    same = dataclasses.replace(now, history={}), dataclasses.replace(before, history={})
    jax.tree.map(np.testing.assert_array_equal, *same)
