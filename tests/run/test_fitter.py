"""Test that a batch survives failures of some of its pieces."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import jax
import numpy as np
import pytest

from s3net_jax.config import ConfigError
from s3net_jax.io import from_array
from s3net_jax.presets import preset
from s3net_jax.run.batches import Job, make_chunks
from s3net_jax.run.fitter import Fitter
from s3net_jax.run.memory import BatchSizes, choose_batch_size, free_bytes
from s3net_jax.run.outcome import Failed, Fitted, Piece
from s3net_kernels import UnsupportedError
from tests.fakes import fit_brightness, install_fit, make_fit_batch

CONFIG = preset("fast").replace(input={"size": 32}, fit={"steps": 3})


def image(seed: int = 0, shape=(20, 24)):
    return from_array(np.random.default_rng(seed).integers(0, 255, shape, np.uint8))


def pieces(count: int) -> list[Piece]:
    return [Piece(image(n), n) for n in range(count)]


def batches(monkeypatch: pytest.MonkeyPatch, act: Any) -> list[int]:
    """Make fits call ``act(count, images)`` first; return the list of batch sizes they get."""
    sizes: list[int] = []
    install_fit(monkeypatch)
    together = make_fit_batch(fit_brightness)

    def fit_batch(keys: Any, images: Any, config: Any, **more: Any) -> Any:
        sizes.append(len(keys))
        act(len(keys), images)
        return together(keys, images, config, **more)

    def fit(key: Any, image: Any, config: Any, **more: Any) -> Any:
        sizes.append(1)
        act(1, [image])
        return fit_brightness(key, image, config, **more)

    monkeypatch.setattr(sys.modules["s3net_jax.fitting"], "fit_batch", fit_batch)
    monkeypatch.setattr(sys.modules["s3net_jax.fitting"], "fit", fit)
    return sizes


def test_out_of_memory_halves_and_prints_a_warning(monkeypatch) -> None:
    def act(count: int, images: Any) -> None:
        if count > 2:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes")

    sizes = batches(monkeypatch, act)
    said: list[str] = []
    fitter = Fitter(CONFIG, limit=7, say=said.append)
    outcomes = fitter.fit(pieces(9))
    assert all(isinstance(o, Fitted) for o in outcomes) and len(outcomes) == 9
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1]
    assert said[0].startswith("7 fits at once do not fit in memory; continuing with 3")
    sizes.clear()
    fitter.fit(pieces(2))
    assert max(sizes) == 1, "what was learned is kept"


def test_sizes_are_halved_by_shape_and_batches_filled_up() -> None:
    seen: list[tuple[int, list[int]]] = []

    def fit(limit: int, part: list[int]) -> list[int]:
        seen.append((limit, part))
        if len(part) > limit:
            raise MemoryError
        return [-n for n in part]

    sizes = BatchSizes(CONFIG, 4, None, lambda text: None)
    results = sizes.fit_in_parts(range(5), (32, 32), lambda part: fit(3, part), fill=True)
    assert next(results) == 0 and len(seen) == 2, "results come batch by batch"
    assert list(results) == [-1, -2, -3, -4]
    assert [part for _, part in seen] == [[0, 1, 2, 3], [0, 1], [2, 3], [4, 4]]
    other = list(sizes.fit_in_parts(range(4), (32, 16), lambda part: fit(4, part)))
    assert other == [0, -1, -2, -3] and seen[-1][1] == [0, 1, 2, 3]
    with pytest.raises(MemoryError):
        list(sizes.fit_in_parts([7], (32, 32), lambda part: fit(0, part)))


def test_what_a_listener_raises_is_no_failure_of_the_fit(monkeypatch) -> None:
    install_fit(monkeypatch)

    def stop(step: int, record: dict[str, Any]) -> None:
        raise KeyError(f"step {step} of {record['running']}")

    for count, single in ((1, True), (1, False), (2, False)):
        with pytest.raises(KeyError, match=f"step 1 of {count}"):
            Fitter(CONFIG, limit=2, single_program=single).fit(pieces(count), stop)


def test_a_single_image_that_does_not_fit_fails(monkeypatch) -> None:
    batches(monkeypatch, lambda count, images: (_ for _ in ()).throw(MemoryError()))
    outcomes = Fitter(CONFIG, limit=2).fit(pieces(2))
    assert all(isinstance(o, Failed) and "ran out of memory" in o.reason for o in outcomes)


def test_a_poisonous_piece_fails_by_itself(monkeypatch) -> None:
    poison = np.asarray(image(2).pixels.mean() / 255)

    def act(count: int, images: Any) -> None:
        if any(abs(float(i.mean()) - poison) < 1e-3 for i in images):
            raise ValueError("poison")

    sizes = batches(monkeypatch, act)
    outcomes = Fitter(CONFIG, limit=4).fit(pieces(4))
    assert [isinstance(o, Fitted) for o in outcomes] == [True, True, False, True]
    assert isinstance(outcomes[2], Failed) and "ValueError: poison" in outcomes[2].reason
    assert sizes == [4, 1, 1, 1, 1]


def test_what_no_piece_could_do_is_an_error(monkeypatch) -> None:
    def act(count: int, images: Any) -> None:
        raise UnsupportedError("no such thing")

    batches(monkeypatch, act)
    with pytest.raises(ConfigError, match=r"no such thing \(model.implementation=auto\)"):
        Fitter(CONFIG, limit=2).fit(pieces(2))


@pytest.mark.slow
def test_the_same_as_the_api_gives() -> None:
    import s3net_jax as s3

    config = CONFIG.replace(model={"channels": 6})
    wanted = [Piece(image(), 0), Piece(image(), 5), Piece(image(1), 0)]
    (first, second), (third, _) = s3.segment_batch(
        [image().pixels, image(1).pixels], config=config, seeds=[0, 5]
    )
    # A batch of one and a fit are different programs, which may round differently.
    for single_program, rtol in ((False, 0), (True, 1e-6)):
        outcomes = Fitter(config, single_program=single_program).fit(wanted)
        for outcome, expected in zip(outcomes, (first, second, third), strict=True):
            assert isinstance(outcome, Fitted)
            np.testing.assert_array_equal(outcome.labels, expected.labels)
            np.testing.assert_allclose(outcome.history["loss"], expected.history["loss"], rtol)
    single = s3.segment(image().pixels, config=config, seed=5)
    np.testing.assert_array_equal(single.history["loss"], second.history["loss"])


def test_memory_decides_how_many(monkeypatch) -> None:
    import s3net_jax.run.memory as capacity

    install_fit(monkeypatch)
    monkeypatch.setattr(
        sys.modules["s3net_jax.fitting"], "batch_bytes", lambda c, s, count: count * 100
    )
    monkeypatch.setattr(capacity, "find_useful_size", lambda devices: 4)
    found = []
    for free in (1e9, 650, 300, 10):
        monkeypatch.setattr(capacity, "free_bytes", lambda device, free=free: free)
        found.append(choose_batch_size(CONFIG, (32, 32), 4, None))
    assert found == [4, 2, 1, 1]


@pytest.mark.slow
def test_memory_is_measured_on_the_program() -> None:
    from s3net_jax.fitting import batch_bytes

    small = batch_bytes(CONFIG, (32, 32), 1)
    assert 3.5 * small < batch_bytes(CONFIG, (32, 32), 4) < 4.5 * small
    assert small > 32 * 32 * CONFIG.model.channels * 4 * 3
    assert free_bytes(jax.local_devices()[0]) > 1e6


def job(n: int, shape=(20, 24)) -> Job:
    return Job(n, 0, 0, image(n, shape))


def test_chunks_are_of_one_shape_and_begin_early() -> None:
    keep = CONFIG.replace(input={"aspect": "keep"})
    taken: list[int] = []

    def jobs():
        for n in range(6):
            taken.append(n)
            yield job(n, (20, 40) if n % 2 else (40, 20))

    stream = make_chunks(jobs(), keep, 2)
    first = next(stream)
    assert [j.task for j in first.jobs] == [0, 2] and taken == [0, 1, 2]
    assert [[j.task for j in c.jobs] for c in stream] == [[1, 3], [4], [5]]


def test_few_images_wait() -> None:
    keep = CONFIG.replace(input={"aspect": "keep", "size": 512})
    shapes = [(512, 32 * n) for n in range(1, 17)] + [(32 * n, 512) for n in range(1, 16)]
    waiting = 0
    worst = 0

    def jobs():
        nonlocal waiting, worst
        for n, shape in enumerate(shapes):
            waiting += 1
            worst = max(worst, waiting)
            yield job(n, shape)

    for chunk in make_chunks(jobs(), keep, 4):
        waiting -= len(chunk.jobs)
    assert waiting == 0 and worst <= 17


def test_a_loss_that_is_never_finite_is_not_the_learning_rate(monkeypatch) -> None:
    """The first loss precedes the first update, so a lower learning rate can't help."""
    sizes = batches(monkeypatch, lambda *_: None)
    together = sys.modules["s3net_jax.fitting"].fit_batch

    def infinite(*args: Any, **more: Any) -> Any:
        fits = together(*args, **more)
        history = _multiply_by_nan(fits.history)
        return dataclasses.replace(fits, logits=fits.logits * np.nan, history=history)

    monkeypatch.setattr(sys.modules["s3net_jax.fitting"], "fit_batch", infinite)
    (outcome,) = Fitter(CONFIG).fit(pieces(1))
    assert isinstance(outcome, Failed) and outcome.diverged and len(sizes) == 1
    assert "before the first update" in outcome.reason
    assert "learning_rate" not in outcome.reason and "loss weights" in outcome.reason


def _multiply_by_nan(history: Any) -> Any:
    return {name: np.asarray(values, np.float64) * np.nan for name, values in history.items()}
