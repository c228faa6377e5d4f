"""``segment``, ``segment_batch`` and ``prepare``: what they honour, what they say."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.run import LocalEngine, segment_inputs
from s3net_kernels import UnsupportedError
from tests.fakes import fit_brightness, install_fit

CONFIG = s3.preset("fast").replace(input={"size": 32}, fit={"steps": 2})
segment: Callable[..., Any] = s3.segment
batch: Callable[..., Any] = s3.segment_batch


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def picture() -> np.ndarray:
    """(60, 90) int16: a dark disc on bright ground, and values far outside of both."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:60, :90]
    values = np.where(np.hypot(y - 30, x - 50) < 14, 100, 800) + random.integers(-30, 30, (60, 90))
    values[:9] = 9000
    return values.astype(np.int16)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("tile", [0, 48])
def test_windows_and_tiles_as_the_command_has_them(
    tmp_path: Path, tile: int, several: bool
) -> None:
    config = CONFIG.replace(input={"window": "0,1000", "tile": tile})
    if several:
        config = config.replace(fit={"members": 2}, segment={"choice": "proposals"})
    path = tmp_path / "a.tif"
    PilImage.fromarray(picture().astype(np.int32)).save(path)
    engine = LocalEngine(config, batch=2)
    out = tmp_path / "out"
    segment_inputs([path], out, config, engine=engine, listener=QuietDisplay())
    labels = np.asarray(PilImage.open(out / "a.labels.png"))
    mask = np.asarray(PilImage.open(out / "a.mask.png")) > 0
    for result in (segment(path, config=config), batch([picture()], config=config)[0][0]):
        np.testing.assert_array_equal(result.labels, labels)
        np.testing.assert_array_equal(result.mask, mask)
        assert result.steps == len(result.history["loss"]) == 2
    assert (segment(path, config=CONFIG).labels != labels).any(), "the window matters"


@pytest.mark.parametrize("call", [segment, lambda image, **more: batch([image], **more)])
@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({"target": "dark"}, {"segment": {"target": "dark"}}),
        ({"size": 48}, {"input": {"size": 48}}),
        ({"tile": 64, "window": "lung"}, {"input": {"tile": 64, "window": "lung"}}),
        ({"window": (0, 1000.5)}, {"input": {"window": "0,1000.5"}}),
        ({"window": np.array([-5.0, 900])}, {"input": {"window": "-5,900"}}),
    ],
)
def test_common_fields_are_arguments(
    monkeypatch: pytest.MonkeyPatch,
    call: Any,
    given: dict[str, Any],
    changes: dict[str, Any],
) -> None:
    used: list[s3.Config] = []

    def note(images: Any, config: s3.Config, *_: Any) -> Any:
        used.append(config)
        return [[None]]

    monkeypatch.setattr("s3net_jax.api.segment_images", note)
    call(picture(), config=CONFIG, **given)
    call(picture(), preset="best", **given)
    assert used == [CONFIG.replace(**changes), s3.preset("best").replace(**changes)]


@pytest.mark.parametrize("call", [segment, batch])
@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"target": "drak"}, s3.ConfigError, "Did you mean dark?"),
        ({"size": 3}, s3.ConfigError, "input.size"),
        ({"size": "huge"}, s3.ConfigError, "input.size can't be 'huge'"),
        ({"tile": 8}, s3.ConfigError, "input.tile"),
        ({"window": "lungs"}, s3.ConfigError, "Did you mean lung"),
        ({"window": (5, 1)}, s3.ConfigError, "'5,1'"),
        ({"window": 5}, s3.ConfigError, "window can't be 5: give a name, such as 'lung', or two"),
        ({"window": (1, 2, 3)}, s3.ConfigError, "window can't be (1, 2, 3): give a name"),
        ({"targt": "dark"}, TypeError, "has no argument 'targt'. Did you mean target?"),
        (
            {"members": 2},
            TypeError,
            "has no argument 'members'. Set it in config=s3net_jax.preset(NAME).replace("
            "fit={'members': ...}).",
        ),
        ({"fit": {"steps": 2}}, TypeError, "config=s3net_jax.preset(NAME).replace(fit={...})."),
    ],
)
def test_wrong_arguments_are_named_before_any_image_is_read(
    call: Any, given: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        call([], preset="fast", **given)


def test_notes_of_reading_are_kept(tmp_path: Path) -> None:
    page = PilImage.fromarray(picture().clip(0, 255).astype(np.uint8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    config = CONFIG.replace(input={"window": "0,1000"})
    expected = ("2 pages; only the first", "the window is ignored")
    for result in (
        segment(tmp_path / "a.tif", config=config),
        batch([tmp_path / "a.tif"], config=config)[0][0],
    ):
        assert len(result.notes) == 2
        assert all(part in note for part, note in zip(expected, result.notes, strict=True))
    with pytest.raises(s3.ConfigError, match="no window"):
        segment(picture(), config=CONFIG.replace(input={"window": "lungs"}))


def test_the_default_preset_is_best(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []

    def note(images: Any, config: s3.Config, *_: Any) -> Any:
        used.append(config.preset)
        return [[None]]

    monkeypatch.setattr("s3net_jax.api.segment_images", note)
    segment(picture())
    batch([picture()])
    segment(picture(), preset="fast")
    assert used == ["best", "best", "fast"]


def test_a_listener_hears_every_step() -> None:
    seen: list[tuple[int, int]] = []
    segment(picture(), config=CONFIG, progress=lambda step, r: seen.append((step, r["labels"])))
    assert seen == [(1, 3), (2, 3)]


def test_what_a_listener_raises_reaches_the_caller() -> None:
    def stop(step: int, record: dict[str, Any]) -> None:
        raise LookupError(f"step {step}")

    with pytest.raises(LookupError, match="step 1"):
        segment(picture(), config=CONFIG, progress=stop)


def diverging(below: float) -> Any:
    """A fit whose second loss and logits are not finite, unless its rate is below ``below``."""

    def fit(key: Any, image: Any, config: s3.Config, **more: Any) -> s3.FitResult:
        result = fit_brightness(key, image, config, **more)
        if config.fit.learning_rate < below:
            return result
        losses = np.array([1.0, np.nan])
        history = {**result.history, "loss": losses}
        return dataclasses.replace(result, logits=result.logits * np.nan, history=history)

    return fit


def test_a_fit_that_diverges_is_done_again_gently(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch, diverging(below=0.1))
    found = [segment(picture(), config=CONFIG), batch([picture()], config=CONFIG)[0][0]]
    found += batch([picture(), picture()], config=CONFIG)[1]
    for result in found:
        (note,) = result.notes
        assert "diverged with fit.learning_rate=0.36; this is the result with 0.09" in note


def test_divergence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch, diverging(below=0))
    with pytest.raises(s3.DivergedError) as caught:
        segment(picture(), config=CONFIG)
    assert str(caught.value) == (
        "The optimisation diverged at step 2: lower fit.learning_rate (now 0.36); a rate of 0.09 "
        "diverged, too."
    )
    with pytest.raises(s3.DivergedError, match=r"^images\[0\] with seed 7: The optimisation"):
        batch([picture()], config=CONFIG, seeds=[7, 8])


def test_errors_of_a_fit_are_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    def scarce(*_: Any, **__: Any) -> Any:
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory")

    install_fit(monkeypatch, scarce)
    with pytest.raises(RuntimeError, match=r"^The fit ran out of memory: try a smaller"):
        segment(picture(), config=CONFIG)
    with pytest.raises(RuntimeError, match=r"^images\[0\] with seed 0 ran out of memory"):
        batch([picture()] * 2, config=CONFIG)

    def unsupported(*_: Any, **__: Any) -> Any:
        raise UnsupportedError("no such kernel")

    install_fit(monkeypatch, unsupported)
    with pytest.raises(s3.ConfigError, match=r"no such kernel \(model.implementation=auto\)"):
        segment(picture(), config=CONFIG)


def test_a_point_outside_is_found_before_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch, lambda *_, **__: pytest.fail("fitted"))
    config = CONFIG.replace(segment={"target": "point:90,0"})
    with pytest.raises(s3.InputError, match="has 90×60 pixels; the point 90,0 is outside it"):
        segment(picture(), config=config)


def test_prepare_makes_what_fit_takes(tmp_path: Path) -> None:
    config = CONFIG.replace(input={"window": "0,1000"})
    image = s3.prepare(picture(), config)
    assert image.shape == (32, 32, 3) and image.dtype == np.float32
    assert image.min() >= 0 and image.max() == 1 and 0.6 < image[-1, -1, 0] < 0.9


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: segment(picture(), preset=CONFIG), TypeError, "pass it as config="),
        (lambda: segment(picture(), preset=3), TypeError, "a name is expected"),
        (lambda: segment(picture(), preset="fast", config=CONFIG), TypeError, "give one of them"),
        (lambda: batch([picture()], preset="paper", config=CONFIG), TypeError, "give one of them"),
        (lambda: segment(picture(), config="fast"), TypeError, r"preset\('fast'\)"),
        (lambda: batch("a.png"), TypeError, "not 'a.png': put it into a list"),
        (lambda: batch(Path("a.png")), TypeError, "put it into a list"),
        (lambda: batch(picture()), TypeError, r"shape \(60, 90\): put a single image"),
        (lambda: batch(iter([])), TypeError, "put it into a list"),
        (lambda: batch([picture()], seeds=3), TypeError, "seeds must be a list"),
        (lambda: s3.prepare(picture(), "fast"), TypeError, "a Config is expected"),  # pyright: ignore
    ],
)
def test_mistakes_are_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
