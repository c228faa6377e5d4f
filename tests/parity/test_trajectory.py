"""Ten steps of SGD, from the same parameters, with the same transforms and palette."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="parity with PyTorch needs torch")

from benchmarks.torch_reference import fit as torch_fit
from benchmarks.torch_reference.warp import affine_matrix
from s3net_jax import fitting
from s3net_jax.config import Config
from s3net_jax.interop import from_torch, to_torch
from s3net_jax.methods.s3net import draw_palette
from s3net_jax.presets import preset
from tests.parity.sides import find_largest_errors, make_problem

STEPS = 10
KEY = 3
TERMS = ("loss", "ce", "affine", "spatial")


def _transforms() -> np.ndarray:
    random = np.random.default_rng(5)
    return np.stack(
        [
            affine_matrix(
                random.uniform(-45, 45),
                (random.uniform(-2, 2), random.uniform(-2, 2)),
                random.uniform(0.9, 1.1),
                random.uniform(-10, 10),
            ).numpy()
            for _ in range(STEPS)
        ]
    )


def _fit_both(config: Config):
    """The fits of PyTorch and of ours."""
    dtype = config.model.dtype
    p, transforms = make_problem(config), _transforms()
    with jax.enable_x64(dtype == "float64"):
        key = jax.random.key(KEY)
        # The palette is the third of a fit's random numbers.
        palette = draw_palette(jax.random.split(key, 3)[2], config.model.channels, dtype)
        result = fitting.fit(
            key,
            jnp.asarray(p.image, dtype),
            config,
            params=from_torch(p.state),
            transforms=jnp.asarray(transforms, dtype),
        )
        ours = jax.device_get(result)
    theirs = torch_fit(
        p.image.astype(dtype),
        config,
        state=p.state,
        transforms=list(transforms),
        palette=np.asarray(palette),
    )
    return theirs, ours


def _config(name: str, dtype: str, inception: str = "dilated", **fit) -> Config:
    model = {"channels": 8, "dtype": dtype, "inception": inception}
    return preset(name).replace(model=model, fit={"steps": STEPS, "stop_labels": 0, **fit})


ORDERS = [("paper", "dilated"), ("paper", "local"), ("released", "dilated")]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "inception"), ORDERS)
def test_float64(name, inception):
    theirs, ours = _fit_both(_config(name, "float64", inception))
    np.testing.assert_array_equal(ours.history["labels"], theirs.history["labels"])
    np.testing.assert_array_equal(ours.labels, theirs.labels)
    for term in TERMS:
        np.testing.assert_allclose(ours.history[term], theirs.history[term], rtol=1e-9)
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=0, atol=1e-9)
    errors = find_largest_errors(
        to_torch(ours.params), {name: a.numpy() for name, a in theirs.state.items()}
    )
    assert max(errors.values()) < 1e-9, errors


@pytest.mark.slow
@pytest.mark.parametrize(("name", "inception"), ORDERS)
def test_float32(name, inception):
    # At the presets' rates one pixel whose label rounding changes soon changes many others; a
    # hundredth of them leaves the comparison to the dtype.
    rate = preset(name).fit.learning_rate / 100
    config = _config(name, "float32", inception, learning_rate=rate)
    config = config.replace(model={"blocks": 1})
    theirs, ours = _fit_both(config)
    for term in TERMS:
        np.testing.assert_allclose(ours.history[term], theirs.history[term], rtol=1e-5)
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=0, atol=1e-3)
    assert np.mean(ours.labels == theirs.labels) > 0.99


@pytest.mark.slow
def test_early_stop_comes_at_the_same_step():
    config = _config("released", "float64", stop_labels=6, stop_after=2)
    config = config.replace(model={"blocks": 1, "deform": "none"})
    theirs, ours = _fit_both(config)
    steps = theirs.steps
    assert 2 <= steps < STEPS
    assert ours.steps == steps
    np.testing.assert_array_equal(ours.history["labels"][:steps], theirs.history["labels"])
    np.testing.assert_allclose(ours.logits, theirs.logits, rtol=0, atol=1e-9)
