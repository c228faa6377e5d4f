"""While a volume is segmented, displays show slice n of N and the time left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from s3net_jax.cli.display import JsonDisplay, LiveDisplay, PlainDisplay
from s3net_jax.cli.pace import Pace, format_progress
from s3net_jax.run import LocalEngine, segment_inputs
from tests.fakes import install_fit
from tests.run.small import CONFIG
from tests.volumes import ball


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_leaves_out_compilation() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.report(0, 11)
    assert format_progress(pace, "slice") == "slice 0 of 11"
    clock.now += 30  # compiling, and one slice
    pace.report(1, 11)
    assert pace.seconds_left == 300
    for done in range(2, 11):
        clock.now += 5
        pace.report(done, 11)
        measured = done >= 4  # 15 s are half of what came before
        assert pace.seconds_left == pytest.approx((11 - done) * (5 if measured else 25 / done + 5))
    assert format_progress(pace, "slice") == "slice 10 of 11, 5.0 s left"


def test_kept_slices_do_not_count_as_fast_ones() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.report(250, 300)
    assert pace.seconds_left is None and not pace.is_due()
    clock.now += 10
    pace.report(251, 300)
    assert pace.seconds_left == 490


def test_two_workers_that_finish_together_do_not_end_the_wait() -> None:
    clock = Clock()
    pace = Pace(clock)
    pace.report(0, 100)
    clock.now += 20
    pace.report(1, 100)
    clock.now += 0.01
    pace.report(2, 100)
    assert pace.seconds_left == pytest.approx(980, 0.01)


def test_lines_are_few() -> None:
    def count(total: int, seconds: float) -> int:
        clock = Clock()
        pace, lines = Pace(clock), 0
        for done in range(total + 1):
            pace.report(done, total)
            lines += pace.is_due()
            clock.now += seconds
        return lines

    assert count(300, 5) == 29  # one for each tenth, and one a minute between them
    assert count(300, 1) == 9  # one for each tenth
    assert count(8, 1) == 0
    assert count(4, 600) == 3


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import tifffile

    install_fit(monkeypatch)
    tifffile.imwrite(tmp_path / "scan.tif", np.moveaxis(ball()[0], 2, 0), metadata={"axes": "ZYX"})
    return tmp_path / "scan.tif"


def segment(path: Path, listener: PlainDisplay | JsonDisplay) -> None:
    engine = LocalEngine(CONFIG, batch=1)
    segment_inputs([path], path.parent / "out", CONFIG, engine=engine, listener=listener)


def test_plain_lines(
    stack: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("s3net_jax.cli.pace._QUIET", 0)
    segment(stack, PlainDisplay(CONFIG, 0))
    lines = [line for line in capsys.readouterr().out.splitlines() if " of 9, " in line]
    assert len(lines) == 8
    assert lines[3].startswith(f"[1/1] {stack}: slice 4 of 9, ") and lines[3].endswith(" left")


def test_json_lines(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segment(stack, JsonDisplay())
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    found = [event for event in events if event["event"] == "slices"]
    assert [event["done"] for event in found] == list(range(1, 10))
    last = {"input": str(stack), "done": 9, "total": 9, "seconds_left": 0}
    assert found[-1] == {"event": "slices", **last} and found[0]["seconds_left"] > 0


def test_the_live_display_has_a_row_of_slices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stack: Path
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    rows: list[str] = []

    class Watched(LiveDisplay):
        def show_pieces(self, index: int, noun: str, done: int, total: int) -> None:
            super().show_pieces(index, noun, done, total)
            tasks = self._progress.tasks
            rows.extend(t.fields["state"] for t in tasks if t.fields["what"] == "slices")

    display = Watched(CONFIG, 0)
    try:
        segment(stack, display)
        assert "slices" not in [task.fields["what"] for task in display._progress.tasks]
    finally:
        display.close()
    capsys.readouterr()
    assert rows[0] == "0 of 9" and rows[4].startswith("4 of 9, ") and len(rows) == 9
