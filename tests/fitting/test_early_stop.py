"""Test that a fit stops at the first allowed step with few enough labels, and nowhere else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s3net_jax.config import Config
from s3net_jax.fitting import fit, hyperparameters
from tests.fitting.fading import fading_config, fading_image

pytestmark = pytest.mark.usefixtures("x64")

STEPS, FEW, AFTER = 10, 5, 6
KEYS = 8


def config(**changes: Any) -> Config:
    return fading_config(**{"steps": STEPS, "record_labels": True, **changes})


def term(logits: Any, labels: Any, image: Any) -> Any:
    return 0.01 * jnp.mean(logits[..., 0] ** 2)


@pytest.fixture(scope="module")
def fits() -> list[tuple[Any, Any]]:
    """Run each fit without and with early stops."""
    with jax.enable_x64(True):
        image, keys = fading_image(), jax.random.split(jax.random.key(0), KEYS)
        stopping = config(stop_labels=FEW, stop_after=AFTER)
        found = []
        for key in keys:
            whole = fit(key, image, config(), extra_loss=term)
            found.append((whole, fit(key, image, stopping, extra_loss=term)))
        return found


def stop_step(labels: np.ndarray) -> int:
    """Compute the number of steps from the label counts of a fit without early stops."""
    for index, count in enumerate(labels):
        if index + 1 >= AFTER and count <= FEW:
            return index + 1
    return STEPS


@pytest.mark.slow
def test_at_the_first_step_at_which_both_conditions_hold(fits: list[tuple[Any, Any]]) -> None:
    expected = [stop_step(whole.history["labels"]) for whole, _ in fits]
    assert [int(stopped.steps) for _, stopped in fits] == expected
    last = [
        int(whole.history["labels"][n - 1]) for (whole, _), n in zip(fits, expected, strict=True)
    ]
    # Covers stops at the first allowed step and later, at exactly the label limit and below.
    assert {AFTER, AFTER + 1} < set(expected)
    assert FEW in last
    assert min(last) < FEW


def test_what_was_done_before_is_kept_and_the_rest_is_blank(fits: list[tuple[Any, Any]]) -> None:
    for whole, stopped in fits:
        n = int(stopped.steps)
        assert set(stopped.history) == {"loss", "ce", "affine", "spatial", "extra", "labels"}
        for name, values in stopped.history.items():
            assert values.shape == (STEPS,)
            np.testing.assert_allclose(values[:n], whole.history[name][:n], rtol=1e-9)
            rest = np.asarray(values[n:])
            assert np.all(rest == 0) if name == "labels" else np.all(np.isnan(rest))
        np.testing.assert_array_equal(stopped.label_maps[:n], whole.label_maps[:n])
        assert np.all(stopped.label_maps[n:] == stopped.label_maps[n - 1])
        if n < STEPS:  # the result uses the parameters after the last step
            np.testing.assert_array_equal(stopped.labels, whole.label_maps[n])


@pytest.mark.parametrize(("after", "steps"), [(1, 1), (STEPS, STEPS), (STEPS + 1, STEPS)])
def test_a_stop_that_is_always_wanted_comes_exactly_when_allowed(after: int, steps: int) -> None:
    always = config(stop_labels=8, stop_after=after, record_labels=False)
    result = fit(jax.random.key(0), fading_image(), always)
    assert int(result.steps) == steps
    assert np.sum(np.isfinite(result.history["loss"])) == steps
    assert hyperparameters(always) == hyperparameters(config())
