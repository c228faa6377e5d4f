"""``segment``, ``segment_batch`` and ``prepare``: what they honour, what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.run import LocalEngine, segment_inputs
from tests.fakes import install_fit

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


def test_notes_of_reading_are_kept(tmp_path: Path) -> None:
    page = PilImage.fromarray(picture().clip(0, 255).astype(np.uint8))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page])
    config = CONFIG.replace(input={"window": "0,1000"})
    expected = ("2 pages; only the first", "the window is not applied")
    for result in (
        segment(tmp_path / "a.tif", config=config),
        batch([tmp_path / "a.tif"], config=config)[0][0],
    ):
        assert len(result.notes) == 2
        assert all(part in note for part, note in zip(expected, result.notes, strict=True))
    with pytest.raises(s3.ConfigError, match="no window"):
        segment(picture(), config=CONFIG.replace(input={"window": "lungs"}))


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
        (lambda: batch([picture()], seeds=3), TypeError, "a list of seeds is expected"),
        (lambda: s3.prepare(picture(), "fast"), TypeError, "a Config is expected"),  # pyright: ignore
    ],
)
def test_mistakes_are_named(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()
