"""Test that results are written as they finish, and that a bad input affects no other one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.cli.display import QuietDisplay
from s3net_jax.config import Config, ConfigError
from s3net_jax.io import OutputError
from tests.fakes import fit_brightness, install_fit
from tests.pictures import save_lesion
from tests.processes import HANG
from tests.run.small import CONFIG, lines, picture, run, run_json


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def test_results(tmp_path: Path) -> None:
    truth = save_lesion(tmp_path / "a.png")
    summary = run(tmp_path, tmp_path / "a.png", seed=7)
    assert (summary.done, summary.failed, summary.skipped, summary.status) == (1, 0, 0, "finished")
    labels, mask = (picture(tmp_path / f"out/a.{kind}.png") for kind in ("labels", "mask"))
    assert labels.shape == mask.shape == truth.shape and set(np.unique(mask)) == {0, 255}
    assert 2 * np.sum((mask > 0) & truth) / (np.sum(mask > 0) + truth.sum()) > 0.9
    (record,) = lines(tmp_path)
    assert record["labels"] == len(np.unique(labels)) and record["area"] == np.sum(mask > 0)
    assert (record["seed"], record["steps"], record["config"]) == (7, 3, CONFIG.digest)
    assert (record["width"], record["height"], record["notes"]) == (64, 48, [])
    names = ["a.history.json", "a.labels.png", "a.mask.png", "a.overlay.png"]
    assert sorted(record["outputs"].values()) == names
    content = run_json(tmp_path)
    assert content["status"] == "finished" and content["done"] == 1
    assert Config().replace(**content["config"]) == CONFIG
    assert content["config_digest"] == CONFIG.digest and content["versions"]["jax"]
    assert content["devices"]["backend"]
    assert "xla" in content["implementations"]["deform_conv2d"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        *record["outputs"].values(),
        "results.jsonl",
        "run.json",
    }


def test_good_inputs_survive_bad_ones(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    save_lesion(tmp_path / "d.png")
    (tmp_path / "empty").mkdir()
    inputs = [tmp_path / name for name in ("a.png", "b.png", "c.png", "empty", "d.png")]
    summary = run(tmp_path, *inputs)
    assert (summary.done, summary.failed) == (2, 3)
    found = {record["stem"]: record.get("error", "") for record in lines(tmp_path)}
    assert not found["a"] and not found["d"]
    assert "text" in found["b"] and "not exist" in found["c"] and "no PNG" in found["empty"]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "ran out of memory"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes"), "out of memory"),
        (ZeroDivisionError("division by zero"), "ZeroDivisionError: division by zero"),
    ],
)
def test_failures_of_the_machine_are_named(tmp_path: Path, monkeypatch, error, words: str) -> None:
    save_lesion(tmp_path / "a.png")

    def fail(*_: Any, **__: Any):
        raise error

    install_fit(monkeypatch, fail)
    assert run(tmp_path, tmp_path / "a.png").failed == 1
    assert words in lines(tmp_path)[0]["error"] and "a.png" in lines(tmp_path)[0]["error"]


def make_diverging_fit(above: float):
    def fit(key: Any, image: Any, config: Config, **more: Any):
        result = fit_brightness(key, image, config, **more)
        if config.fit.learning_rate < above:
            return result
        loss = result.history["loss"].at[1:].set(np.nan)
        history = {**result.history, "loss": loss}
        return type(result)(
            result.labels, result.logits * np.nan, history, result.steps, None, None
        )

    return fit


def test_results_are_written_during_the_next_fit(tmp_path: Path, monkeypatch) -> None:
    for name in "abc":
        save_lesion(tmp_path / f"{name}.png")
    log, seen = tmp_path / "out/results.jsonl", []

    def wait_and_fit(*args: Any, **options: Any) -> Any:
        """Return once the results of earlier inputs exist."""
        deadline = time.monotonic() + HANG
        while time.monotonic() < deadline:
            written = log.read_bytes().count(b"\n") if log.exists() else 0
            if written >= len(seen):
                break
            time.sleep(0.01)
        seen.append(written)
        return fit_brightness(*args, **options)

    install_fit(monkeypatch, wait_and_fit)
    assert run(tmp_path, *(tmp_path / f"{name}.png" for name in "abc")).done == 3
    assert seen == [0, 1, 2]


def test_divergence_is_named(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    install_fit(monkeypatch, make_diverging_fit(0.0))
    run(tmp_path, tmp_path / "a.png")
    error = lines(tmp_path)[0]["error"]
    assert "diverged at step 2: lower fit.learning_rate" in error
    assert error.endswith("a rate of 0.09 diverged, too.")


def test_divergence_is_tried_once_more_and_reported(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    install_fit(monkeypatch, make_diverging_fit(0.1))
    assert run(tmp_path, tmp_path / "a.png").done == 1
    (note,) = lines(tmp_path)[0]["notes"]
    assert "diverged with fit.learning_rate=0.36; this is the result with 0.09" in note


def test_one_cluster_is_noted(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")

    def merge(*args: Any, **more: Any):
        result = fit_brightness(*args, **more)
        return type(result)(
            result.labels, result.logits[..., :1], result.history, result.steps, None, None
        )

    install_fit(monkeypatch, merge)
    run(tmp_path, tmp_path / "a.png")
    assert (
        lines(tmp_path)[0]["area"] == 0
        and "collapsed into one cluster" in lines(tmp_path)[0]["notes"][0]
    )


def test_a_wrong_configuration_stops_before_anything_is_written(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    with pytest.raises(ConfigError):
        run(tmp_path, tmp_path / "a.png", config=CONFIG.replace(segment={"target": "centre"}))
    assert not (tmp_path / "out").exists()


def full(*_: Any, **__: Any) -> None:
    raise OutputError("out/a.mask.png can't be written: no space left on device.")


def test_a_result_that_can_not_be_written_is_skipped(tmp_path: Path, monkeypatch) -> None:
    import s3net_jax.run.output.files as outputs

    for name in ("a.png", "b.png"):
        save_lesion(tmp_path / name)
    write = outputs.write_mask

    def fail_once(path: Path, *more: Any) -> None:
        if path.name.startswith("a."):
            full()
        write(path, *more)

    monkeypatch.setattr(outputs, "write_mask", fail_once)
    summary = run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert (summary.done, summary.failed) == (1, 1)
    assert summary.failures == ["out/a.mask.png can't be written: no space left on device."]
    monkeypatch.undo()
    install_fit(monkeypatch)
    summary = run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert (summary.done, summary.skipped) == (1, 1), "what was half written is done again"


def test_a_disk_that_stays_full_stops_the_run(tmp_path: Path, monkeypatch) -> None:
    for name in "abcd":
        save_lesion(tmp_path / f"{name}.png")
    monkeypatch.setattr("s3net_jax.run.output.files.write_mask", full)
    with pytest.raises(OutputError, match="no space"):
        run(tmp_path, *(tmp_path / f"{name}.png" for name in "abcd"))
    assert run_json(tmp_path)["status"] == "interrupted"
    assert len(lines(tmp_path)) == 2


def test_steps_are_reported_through_one_callback(tmp_path: Path) -> None:
    class Watching(QuietDisplay):
        def __init__(self) -> None:
            self.seen: list[int] = []
            self.step = lambda step, record: self.seen.append(step)

    save_lesion(tmp_path / "a.png")
    watching = Watching()
    run(tmp_path, tmp_path / "a.png", listener=watching)
    assert watching.seen == [1, 2, 3]


def test_the_public_names_are_functions_whatever_was_imported_first() -> None:
    import s3net_jax as s3

    assert callable(s3.segment) and callable(s3.fit) and callable(s3.preset)


def test_few_large_results_wait_to_be_written(tmp_path: Path, monkeypatch) -> None:
    """Waiting results must not fill the memory, even on a slow disk."""
    from s3net_jax.run import runner

    for n in range(6):
        save_lesion(tmp_path / f"{n}.png")
    taken, seen = [], []

    class SlowWriter(runner.ResultWriter):
        def write(self, opened: Any) -> Any:
            time.sleep(0.05)
            seen.append(len(taken))
            return super().write(opened)

    def count_fits(*args: Any, **options: Any) -> Any:
        taken.append(None)
        return fit_brightness(*args, **options)

    install_fit(monkeypatch, count_fits)
    monkeypatch.setattr(runner, "ResultWriter", SlowWriter)
    monkeypatch.setattr(runner, "PIXELS_HELD", 2 * 48 * 64)
    assert run(tmp_path, *(tmp_path / f"{n}.png" for n in range(6))).done == 6
    # Two wait, one is about to be: the next fit begins when one of them is written.
    assert all(count <= n + 3 for n, count in enumerate(seen)) and len(seen) == 6
