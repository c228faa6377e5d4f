"""The confidence of results: in records, in the last line, on pictures, in Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.cli.display import PlainDisplay, format_summary
from s3net_jax.presets import preset
from s3net_jax.run import Summary
from s3net_jax.schema import check_result
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.small import lines, run, run_json

BEST = preset("best").replace(input={"size": 48}, fit={"steps": 2, "members": 2})


@pytest.fixture(autouse=True)
def fits(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def save_noise(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3))
    PilImage.fromarray(pixels.astype(np.uint8)).save(path)


def test_records_and_counts(tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/clear.png")
    save_noise(tmp_path / "in/noise.png")
    summary = run(tmp_path, tmp_path / "in", config=BEST)
    found = {line["stem"]: line for line in lines(tmp_path)}
    assert not found["clear"]["check"] and found["clear"]["expected_dsc"] > 0.9
    assert found["noise"]["check"] and found["noise"]["expected_dsc"] < 0.6
    assert set(found["clear"]["evidence"]) == set(found["noise"]["evidence"])
    assert (summary.assessed, summary.to_check) == (2, 1) and run_json(tmp_path)["to_check"] == 1
    assert "2 done, 1 of 2 to check in" in format_summary(summary)


def test_kept_results_are_counted(tmp_path: Path) -> None:
    save_noise(tmp_path / "in/a.png")
    run(tmp_path, tmp_path / "in", config=BEST)
    first = lines(tmp_path)
    save_lesion(tmp_path / "in/b.png")
    summary = run(tmp_path, tmp_path / "in", config=BEST)
    assert (summary.done, summary.skipped) == (1, 1)
    assert (summary.assessed, summary.to_check) == (2, 1)
    assert lines(tmp_path)[0] == first[0]


def test_records_without_confidence_stay_readable(tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/a.png")
    run(tmp_path, tmp_path / "in", config=BEST)
    log = tmp_path / "out/results.jsonl"
    record = json.loads(log.read_text())
    for name in ("expected_dsc", "check", "evidence"):
        del record[name]
    log.write_text(json.dumps(record) + "\n")
    check_result(record)
    summary = run(tmp_path, tmp_path / "in", config=BEST)
    assert summary.skipped == 1 and (summary.assessed, summary.to_check) == (0, 0)
    assert "check" not in format_summary(summary)


def test_other_presets_and_targets_have_none(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    for config in (
        preset("fast").replace(input={"size": 48}, fit={"steps": 2}),
        BEST.replace(segment={"target": "dark"}),
        BEST.replace(segment={"boundary": "clusters"}),
        BEST.replace(input={"tile": 40}),
    ):
        assert s3.segment(tmp_path / "a.png", config=config).confidence is None


def test_a_batch_agrees_with_single_images(tmp_path: Path) -> None:
    for seed in range(3):
        save_lesion(tmp_path / f"{seed}.png", seed)
    paths = sorted(tmp_path.glob("*.png"))
    together = s3.segment_batch(paths, config=BEST, seeds=[0, 1])
    for path, found in zip(paths, together, strict=True):
        assert found[0].confidence == s3.segment(path, config=BEST).confidence
        assert found[0].confidence is not None and not found[0].confidence.check


def test_the_command_and_python_agree(tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/a.png")
    run(tmp_path, tmp_path / "in", config=BEST)
    found = s3.segment(tmp_path / "in/a.png", config=BEST)
    assert found.confidence is not None
    record = lines(tmp_path)[0]
    assert {name: record[name] for name in found.confidence.to_record()} == (
        found.confidence.to_record()
    )
    assert f"{found.confidence}, " in repr(found)


def test_several_seeds_have_the_mean(tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/a.png")
    run(tmp_path, tmp_path / "in", config=BEST, seeds=2)
    seeds = s3.segment_batch([tmp_path / "in/a.png"], config=BEST, seeds=[0, 1])[0]
    expected = [r.confidence.expected_dsc for r in seeds if r.confidence is not None]
    assert lines(tmp_path)[0]["expected_dsc"] == pytest.approx(np.mean(expected), abs=1e-4)


def test_the_overlay_marks_masks_to_check(tmp_path: Path) -> None:
    save_lesion(tmp_path / "clear.png")
    save_noise(tmp_path / "noise.png")
    warning = np.array((214, 137, 16))
    for name, marked in (("clear", False), ("noise", True)):
        overlay = np.asarray(s3.segment(tmp_path / f"{name}.png", config=BEST).overlay())
        title = overlay[:30]
        assert (title == warning).all(-1).any() == marked


def test_lines_of_the_display(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/clear.png")
    save_noise(tmp_path / "in/noise.png")
    display = PlainDisplay(BEST, 0)
    summary = run(tmp_path, tmp_path / "in", config=BEST, listener=display)
    display.finish(summary)
    text = capsys.readouterr().out
    clear, noise = (line for line in text.splitlines() if line.startswith("["))
    assert "expected DSC 0.9" in clear and "check" not in clear
    assert ": check this mask, " in noise
    assert "1 of 2 to check" in text
    assert format_summary(Summary(Path("o"), done=1)) == "1 done in 0.0 s; results in o"
