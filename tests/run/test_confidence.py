"""The confidence of results: in records, in the last line, on pictures, in Python."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.cli.display import PlainDisplay, format_summary
from s3net_jax.masks import CALIBRATIONS, Confidence, Segments
from s3net_jax.presets import preset
from s3net_jax.run import OutputOptions, Summary, open_volume
from s3net_jax.run.confidence import assess_result
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
    for name in ("expected_dsc", "check", "basis", "evidence"):
        del record[name]
    log.write_text(json.dumps(record) + "\n")
    check_result(record)
    summary = run(tmp_path, tmp_path / "in", config=BEST)
    assert summary.skipped == 1 and (summary.assessed, summary.to_check) == (0, 0)
    assert "check" not in format_summary(summary)


FAST = preset("fast").replace(input={"size": 48}, fit={"steps": 2})

KINDS = {
    "a single label map": (FAST, "clusters"),
    "a single label map, redrawn": (FAST.replace(segment={"boundary": "local"}), "clusters"),
    "outline of the clusters": (BEST.replace(segment={"boundary": "clusters"}), "clusters"),
    "tiles": (BEST.replace(input={"tile": 40}), "clusters"),
    "dark": (BEST.replace(segment={"target": "dark"}), "choice"),
    "a point": (FAST.replace(segment={"target": "point:30,24"}), "choice"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_result_has_one(tmp_path: Path, kind: str) -> None:
    config, basis = KINDS[kind]
    save_lesion(tmp_path / "in/a.png")
    summary = run(tmp_path, tmp_path / "in", config=config)
    (record,) = lines(tmp_path)
    check_result(record)
    assert record["basis"] == basis and set(record["evidence"]) == set(CALIBRATIONS[basis].weights)
    assert 0 < record["expected_dsc"] < 1 and record["check"] == (record["expected_dsc"] < 0.8)
    assert summary.assessed == 1
    found = s3.segment(tmp_path / "in/a.png", config=config).confidence
    assert found is not None
    assert found.to_record() == {name: record[name] for name in found.to_record()}


def test_instances_and_seeds_of_a_single_label_map(tmp_path: Path) -> None:
    save_lesion(tmp_path / "in/a.png")
    run(tmp_path, tmp_path / "in", config=FAST, seeds=2, output=OutputOptions(instances=True))
    (record,) = lines(tmp_path)
    assert record["basis"] == "clusters" and "instances" in record["outputs"]


@pytest.mark.parametrize("mode", ["slices", "shared"])
def test_volumes(tmp_path: Path, mode: str) -> None:
    slices = []
    for n in range(3):
        save_lesion(tmp_path / f"{n}.png", n)
        with PilImage.open(tmp_path / f"{n}.png") as picture:
            slices.append(np.asarray(picture.convert("L")))
    config = FAST.replace(fit={"volume": mode, "slices": 2})
    found = s3.segment_volume(np.stack(slices), config=config, progress=False)
    assert found.confidence is not None and found.confidence.basis == "slices"
    assert set(found.confidence.evidence) == {*CALIBRATIONS["clusters"].weights, "neighbours"}
    assert found.confidence.expected_dsc <= found.confidence.evidence["neighbours"]
    assert f"{found.confidence}, " in repr(found)


def test_an_empty_mask_of_a_volume(tmp_path: Path) -> None:
    case = open_volume(np.arange(192, dtype=np.uint8).reshape(3, 8, 8), None, FAST)
    nothing = Segments(np.zeros((3, 8, 8), np.int32), np.zeros((3, 8, 8), bool), ())
    assert assess_result(case, nothing, (), FAST) == Confidence.of_empty_mask("slices")


def test_another_target_has_another_estimate(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    found = s3.segment(tmp_path / "a.png", config=BEST)
    for changed, basis in (
        (found.retarget("auto"), "clusters"),
        (found.retarget("dark"), "choice"),
        (found.retarget("label:0"), "choice"),
        (found.correct(inside=[(30, 24)], outside=[(1, 1)]), "choice"),
    ):
        assert changed.confidence is not None and changed.confidence.basis == basis


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
