"""Test the reports between the pieces of a batch, and smaller batches after early stops."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from s3net_jax.fitting import fit, fit_batch, grid, hyperparameters
from tests.fitting.fading import fading_config, fading_image

pytestmark = pytest.mark.usefixtures("x64")

Record = tuple[int, dict[str, Any]]


def listen(records: list[Record]) -> Any:
    return lambda step, record: records.append((step, record))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "chunk", "reported"),
    [
        (4, 1, [1, 2, 3, 4]),
        (6, 4, [3, 6]),  # pieces of one length near the chunk
        (8, 3, [2, 4, 6, 8]),  # of two as near, the shorter
        (7, 3, [3, 6, 7]),  # no length near the chunk divides 7
        (7, 4, [7]),  # and here the whole does
        (4, 8, [4]),
        (2, 100, [2]),
    ],
)
def test_without_stops_reports_come_in_equal_pieces_about_a_chunk_long(
    steps: int, chunk: int, reported: list[int]
) -> None:
    seen: list[Record] = []
    keys = jax.random.split(jax.random.key(0), 2)
    result = fit_batch(
        keys, fading_image(), fading_config(steps=steps), chunk=chunk, progress=listen(seen)
    )
    assert [step for step, _ in seen] == reported
    for step, record in seen:
        assert record["loss"] == pytest.approx(float(result.history["loss"][:, step - 1].mean()))
        assert record["labels"] == round(float(result.history["labels"][:, step - 1].mean()))
        assert record["running"] == 2
    np.testing.assert_array_equal(result.steps, [steps] * 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("after", "chunk", "reported"),
    [
        (2, 2, [2, 4, 6, 7]),  # nothing stops before stop_after, then every chunk, then the rest
        (0, 3, [1, 4, 7]),
        (7, 2, [7]),
        (9, 2, [7]),
    ],
)
def test_with_stops_the_first_report_is_where_a_fit_may_stop(
    after: int, chunk: int, reported: list[int]
) -> None:
    seen: list[Record] = []
    # One label is never left: nothing stops.
    stopping = fading_config(steps=7, stop_labels=1, stop_after=after, learning_rate=0.01)
    keys = jax.random.split(jax.random.key(0), 2)
    result = fit_batch(keys, fading_image(), stopping, chunk=chunk, progress=listen(seen))
    assert [step for step, _ in seen] == reported
    np.testing.assert_array_equal(result.steps, [7, 7])


RATES = [0.3, 0.3, 0.3, 0.3, 0.3, 1e-9, 1e-9, 1e-9]
"""The first five of eight fits stop after 6 to 9 steps; the last three never lose a label."""


@pytest.fixture(scope="module")
def eight() -> dict[str, Any]:
    """Run eight fits that stop at different steps, as a batch and one by one."""
    seen: list[Record] = []
    computed: list[int] = []

    def count(logits: jax.Array, labels: jax.Array, image: jax.Array) -> jax.Array:
        jax.debug.callback(lambda _: computed.append(1), logits[0, 0, 0])
        return jnp.zeros(())

    def quiet(logits: jax.Array, labels: jax.Array, image: jax.Array) -> jax.Array:
        return jnp.zeros(())

    with jax.enable_x64(True):
        chosen = fading_config(steps=10, stop_labels=5, stop_after=6, record_labels=True)
        keys = jax.random.split(jax.random.key(0), len(RATES))
        hyper = grid(chosen, learning_rate=RATES)
        batch = fit_batch(
            keys,
            fading_image(),
            chosen,
            hyper=hyper,
            extra_loss=count,
            chunk=1,
            progress=listen(seen),
        )
        jax.effects_barrier()
        singles = [
            fit(
                key,
                fading_image(),
                chosen,
                hyper=hyperparameters(chosen.replace(fit={"learning_rate": rate})),
                extra_loss=quiet,
            )
            for key, rate in zip(keys, RATES, strict=True)
        ]
    return {"batch": batch, "singles": singles, "seen": seen, "computed": len(computed)}


@pytest.mark.slow
def test_fits_that_were_moved_together_stay_themselves(eight: dict[str, Any]) -> None:
    batch, singles = eight["batch"], eight["singles"]
    # They are therefore gathered at least twice, once with a copy that pads the batch.
    np.testing.assert_array_equal(np.sort(batch.steps), [6, 7, 7, 7, 9, 10, 10, 10])
    for n, single in enumerate(singles):
        assert batch.steps[n] == single.steps
        np.testing.assert_array_equal(batch.labels[n], single.labels)
        np.testing.assert_array_equal(batch.label_maps[n], single.label_maps)
        np.testing.assert_allclose(batch.logits[n], single.logits, atol=1e-9)
        for name, values in single.history.items():
            assert batch.history[name].dtype == values.dtype
            np.testing.assert_allclose(batch.history[name][n], values, rtol=1e-9)
        for whole, part in zip(
            jax.tree.leaves(batch.params), jax.tree.leaves(single.params), strict=True
        ):
            np.testing.assert_allclose(whole[n], part, atol=1e-9)


@pytest.mark.slow
def test_fits_that_have_stopped_are_computed_no_longer(eight: dict[str, Any]) -> None:
    # A batch shrinks by a third at least: 8 fits while more than 5 run, 5 while more than 3 do.
    assert eight["computed"] == 8 * 7 + 5 * 2 + 3 * 1


@pytest.mark.slow
def test_reports_are_of_the_fits_that_run(eight: dict[str, Any]) -> None:
    steps, history = np.asarray(eight["batch"].steps), eight["batch"].history
    assert [step for step, _ in eight["seen"]] == [6, 7, 8, 9, 10]
    for step, record in eight["seen"]:
        ran = steps >= step
        assert record["running"] == np.sum(steps > step) if step < 10 else 3
        expected = history["loss"][ran, step - 1].mean()
        assert record["loss"] == pytest.approx(float(expected))
        assert record["labels"] == round(float(history["labels"][ran, step - 1].mean()))


@pytest.mark.slow
def test_one_named_device_computes_what_the_default_does() -> None:
    keys, chosen = jax.random.split(jax.random.key(1), 3), fading_config(steps=2)
    image = fading_image()
    images = jnp.stack([image, image[::-1], image**2])
    plain = fit_batch(keys, images, chosen)
    placed = fit_batch(keys, images, chosen, devices=jax.devices()[:1])
    np.testing.assert_allclose(placed.logits, plain.logits, atol=1e-12)
    np.testing.assert_array_equal(placed.steps, plain.steps)
    assert plain.label_maps is None
