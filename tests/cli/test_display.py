"""Displays show the progress of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3net_jax.cli.display import LiveDisplay, PlainDisplay, format_summary
from s3net_jax.presets import preset
from s3net_jax.run import LocalEngine, Summary, segment_inputs
from s3net_jax.text import format_duration
from tests.fakes import install_fit
from tests.pictures import save_lesion


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3599.7, "1 h 00 min"),
        (7320, "2 h 02 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_format_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


def test_summary() -> None:
    assert format_summary(Summary(Path("o"), done=2, seconds=3)) == "2 done in 3.0 s; results in o"
    summary = Summary(Path("o"), 2, 1, 3, 9.0)
    assert format_summary(summary) == "2 done, 1 kept, 3 failed in 9.0 s; results in o"


def test_plain_lines_name_the_phases_that_have_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    display = PlainDisplay(preset("fast"), 0)
    display.show_phase("results")
    for done in range(3):
        display.show_phase("scoring", done, 2)
    display.show_phase("baselines", 0, 1)
    assert capsys.readouterr().out.splitlines() == ["scoring: 2 images", "baselines: 1 image"]


def test_the_live_display_shows_what_follows_the_last_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    display = LiveDisplay(preset("fast").replace(fit={"steps": 3}), 0)

    def show() -> list[tuple[str, float | None, float, str]]:
        tasks = display._progress.tasks[2:]
        return [(t.fields["what"], t.total, t.completed, t.fields["state"]) for t in tasks]

    step = {"running": 1, "labels": 2, "loss": 0.5}
    display.begin(1)
    try:
        display._show_step(2, step)
        assert show() == []
        display._show_step(3, step)
        assert show() == [("masks", None, 0, "")], "a bar that moves by itself"
        display._show_step(1, step)
        assert show() == [], "the next batch"
        display._show_step(3, step)
        assert display._progress.tasks[1].visible
        display.show_phase("scoring", 0, 2)
        assert show() == [("scoring", 2, 0, "0/2")]
        assert not display._progress.tasks[1].visible, "the fits are over"
        display.show_phase("scoring", 2, 2)
        assert show() == [("scoring", 2, 2, "2/2")]
        display._progress.refresh()
    finally:
        display.close()
    assert "scoring" in capsys.readouterr().err


def test_the_live_display_follows_the_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    install_fit(monkeypatch)
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes the captured stream for a terminal
    monkeypatch.setenv("COLUMNS", "100")
    save_lesion(tmp_path / "[red]a.png")
    config = preset("fast").replace(input={"size": 32}, fit={"steps": 3})
    display = LiveDisplay(config, 0)
    try:
        segment_inputs(
            [tmp_path / "[red]a.png", tmp_path / "b.png"],
            tmp_path / "out",
            config,
            engine=LocalEngine(config),
            listener=display,
        )
        assert display.step is not None
        display._progress.refresh()
    finally:
        display.close()
    captured = capsys.readouterr()
    assert "[1/2]" in captured.out and "3 steps" in captured.out
    assert "step 3/3" in captured.err and "3 labels" in captured.err
    assert "[red]a.png" in captured.out and "1 done, 0 running, 1 failed" in captured.err
    assert "[2/2] FAILED" in captured.err
