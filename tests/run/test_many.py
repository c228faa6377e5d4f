"""Many inputs: results on disk as they finish, good ones survive bad ones, nothing is lost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.config import Config, ConfigError
from s3net_jax.io import OutputError
from s3net_jax.presets import preset
from s3net_jax.report import overlay
from s3net_jax.run import LocalEngine, Summary, segment_inputs
from s3net_jax.terminal import QuietDisplay
from tests.fakes import brightness_fit, install_fit
from tests.pictures import save_lesion

CONFIG = preset("fast").replace(input={"size": 32}, fit={"steps": 3})
PICTURES = ("labels.png", "mask.png", "overlay.png")


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def run(tmp_path: Path, *inputs: Path, config: Config = CONFIG, **options: Any) -> Summary:
    listener = options.pop("listener", QuietDisplay())
    engine = LocalEngine(config, batch=options.pop("batch", 1))
    return segment_inputs(
        inputs,
        tmp_path / "out",
        config,
        engine=engine,
        draw=overlay,
        listener=listener,
        **options,
    )


def lines(tmp_path: Path) -> list[dict[str, Any]]:
    """The last line of each stem."""
    text = (tmp_path / "out/results.jsonl").read_text()
    records = [json.loads(line) for line in text.splitlines()]
    return list({record["stem"]: record for record in records}.values())


def run_json(tmp_path: Path) -> dict[str, Any]:
    return json.loads((tmp_path / "out/run.json").read_text())


def picture(path: Path) -> np.ndarray:
    with PilImage.open(path) as file:
        return np.asarray(file)


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


def test_same_stems_do_not_overwrite_one_another(tmp_path: Path) -> None:
    save_lesion(tmp_path / "x/a.png", seed=1)
    save_lesion(tmp_path / "y/a.png", seed=2, shape=(40, 40))
    run(tmp_path, tmp_path / "x", tmp_path / "y")
    assert picture(tmp_path / "out/x-a.mask.png").shape == (48, 64)
    assert picture(tmp_path / "out/y-a.mask.png").shape == (40, 40)


def test_what_is_done_is_kept_and_failures_are_tried_again(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    before = (tmp_path / "out/a.mask.png").stat().st_mtime_ns
    save_lesion(tmp_path / "b.png")
    summary = run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert (summary.done, summary.skipped, summary.failed) == (1, 1, 0)
    assert (tmp_path / "out/a.mask.png").stat().st_mtime_ns == before
    # A failure is noted at once, a result when it is written.
    assert sorted(record["stem"] for record in lines(tmp_path)) == ["a", "b"]
    assert not any("error" in record for record in lines(tmp_path))
    (tmp_path / "out/a.overlay.png").unlink()
    assert run(tmp_path, tmp_path / "a.png").done == 1, "a result with a part missing is done again"


def test_the_result_of_an_input_that_is_away_for_a_while_stands(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "away.png")
    assert run(tmp_path, tmp_path / "a.png").failed == 1
    assert run(tmp_path, tmp_path / "a.png", overwrite=True).failed == 1
    (tmp_path / "away.png").rename(tmp_path / "a.png")
    assert run(tmp_path, tmp_path / "a.png").skipped == 1


def test_an_input_that_joins_renames_none(tmp_path: Path) -> None:
    """Of equal stems, of equal names in other folders, and from where the data were moved to."""
    save_lesion(tmp_path / "in/a.png", seed=1)
    run(tmp_path, tmp_path / "in")
    save_lesion(tmp_path / "in/a.bmp", seed=2)
    save_lesion(tmp_path / "more/a.png", seed=3)
    (tmp_path / "in").rename(tmp_path / "moved")
    summary = run(tmp_path, tmp_path / "more", tmp_path / "moved")
    assert (summary.done, summary.skipped, summary.failed) == (2, 1, 0)
    found = {record["stem"]: Path(record["input"]).name for record in lines(tmp_path)}
    assert found == {"a": "a.png", "moved-a-bmp": "a.bmp", "more-a-png": "a.png"}
    assert run(tmp_path, tmp_path / "moved/a.bmp").skipped == 1, "alone it keeps its name, too"
    assert run(tmp_path, tmp_path / "moved", overwrite=True).done == 2
    assert len(lines(tmp_path)) == 3


def test_an_input_that_fails_leaves_no_files_of_what_it_replaces(tmp_path: Path) -> None:
    for name in "ab":
        save_lesion(tmp_path / f"{name}.png")
    run(tmp_path, tmp_path / "a.png", tmp_path / "b.png", seeds=2)
    (tmp_path / "a.png").write_text("no picture")
    inputs = tmp_path / "a.png", tmp_path / "b.png"
    assert run(tmp_path, *inputs, overwrite=True).failed == 1
    names = {path.name for path in (tmp_path / "out").iterdir()} - {"results.jsonl", "run.json"}
    assert names == {f"b.{kind}" for kind in ("history.json", *PICTURES)}


def test_a_replacing_run_that_is_killed_goes_on_without_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [tmp_path / f"{name}.png" for name in "abc"]
    for name in names:
        save_lesion(name)
    run(tmp_path, *names, seeds=2)
    other = CONFIG.replace(fit={"steps": 4})
    calls = []

    def interrupted(*args: Any, **more: Any):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return brightness_fit(*args, **more)

    install_fit(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *names, config=other, overwrite=True)
    install_fit(monkeypatch)
    with pytest.raises(OutputError, match="another configuration"):
        run(tmp_path, *names, seeds=2)
    names[2].write_text("no picture")
    summary = run(tmp_path, *names, config=other)
    assert (summary.done, summary.skipped, summary.failed) == (1, 1, 1)
    assert {record.get("steps") for record in lines(tmp_path)} == {4, None}
    left = {path.name for path in (tmp_path / "out").iterdir()} - {"results.jsonl", "run.json"}
    assert left == {f"{s}.{kind}" for s in "ab" for kind in ("history.json", *PICTURES)}


def test_a_run_file_of_unknown_origin_is_not_touched_unasked(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/run.json").write_text('{"scripts": {}}')
    with pytest.raises(OutputError, match=r"run.json exists and is not of a run"):
        run(tmp_path, tmp_path / "a.png")
    assert run(tmp_path, tmp_path / "a.png", overwrite=True).done == 1


def test_other_results_are_not_touched_unasked(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png")
    other = CONFIG.replace(fit={"steps": 4})
    with pytest.raises(OutputError, match="another configuration or seed"):
        run(tmp_path, tmp_path / "a.png", config=other)
    with pytest.raises(OutputError, match="another configuration or seed"):
        run(tmp_path, tmp_path / "a.png", seed=1)
    assert run(tmp_path, tmp_path / "a.png", config=other, overwrite=True).done == 1
    assert len(lines(tmp_path)) == 1 and lines(tmp_path)[0]["steps"] == 4
    save_lesion(tmp_path / "a.png", seed=5)
    with pytest.raises(OutputError, match="another picture"):
        run(tmp_path, tmp_path / "a.png", config=other)


def test_foreign_files_are_not_touched_unasked(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.mask.png").write_text("mine")
    with pytest.raises(OutputError, match="not from a finished run"):
        run(tmp_path, tmp_path / "a.png")
    assert (tmp_path / "out/a.mask.png").read_text() == "mine"
    assert run(tmp_path, tmp_path / "a.png", overwrite=True).done == 1


def test_inputs_are_never_overwritten(tmp_path: Path) -> None:
    for name in ("a.png", "a.mask.png"):
        save_lesion(tmp_path / "out" / name)
    before = (tmp_path / "out/a.mask.png").read_bytes()
    with pytest.raises(OutputError, match="an input and a result"):
        run(tmp_path, *(tmp_path / "out" / n for n in ("a.png", "a.mask.png")), overwrite=True)
    assert (tmp_path / "out/a.mask.png").read_bytes() == before


def test_a_foreign_results_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/results.jsonl").write_text("shopping list\n")
    with pytest.raises(OutputError, match="not a list of results"):
        run(tmp_path, tmp_path / "a.png")


def test_an_interrupted_run_keeps_what_is_finished(tmp_path: Path, monkeypatch) -> None:
    for name in ("a.png", "b.png"):
        save_lesion(tmp_path / name)
    calls = []

    def interrupted(*args: Any, **more: Any):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return brightness_fit(*args, **more)

    install_fit(monkeypatch, interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert run_json(tmp_path)["status"] == "interrupted"
    assert [record["stem"] for record in lines(tmp_path)] == ["a"]
    summary = run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    assert (summary.done, summary.skipped) == (1, 1)


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

    def failing(*_: Any, **__: Any):
        raise error

    install_fit(monkeypatch, failing)
    assert run(tmp_path, tmp_path / "a.png").failed == 1
    assert words in lines(tmp_path)[0]["error"] and "a.png" in lines(tmp_path)[0]["error"]


def diverging(above: float):
    def fit(key: Any, image: Any, config: Config, **more: Any):
        result = brightness_fit(key, image, config, **more)
        if config.fit.learning_rate < above:
            return result
        loss = result.history["loss"].at[1:].set(np.nan)
        history = {**result.history, "loss": loss}
        return type(result)(
            result.labels, result.logits * np.nan, history, result.steps, None, None
        )

    return fit


def test_results_are_written_while_the_next_fit_goes_on(tmp_path: Path, monkeypatch) -> None:
    for name in "abc":
        save_lesion(tmp_path / f"{name}.png")
    log, seen = tmp_path / "out/results.jsonl", []

    def waiting_fit(*args: Any, **options: Any) -> Any:
        """Ends when the results of those before it are there."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            written = log.read_bytes().count(b"\n") if log.exists() else 0
            if written >= len(seen):
                break
            time.sleep(0.01)
        seen.append(written)
        return brightness_fit(*args, **options)

    install_fit(monkeypatch, waiting_fit)
    assert run(tmp_path, *(tmp_path / f"{name}.png" for name in "abc")).done == 3
    assert seen == [0, 1, 2]


def test_divergence_is_named(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    install_fit(monkeypatch, diverging(0.0))
    run(tmp_path, tmp_path / "a.png")
    error = lines(tmp_path)[0]["error"]
    assert "diverged at step 2: lower fit.learning_rate" in error
    assert error.endswith("a rate of 0.09 diverged, too.")


def test_divergence_is_tried_once_more_and_reported(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")
    install_fit(monkeypatch, diverging(0.1))
    assert run(tmp_path, tmp_path / "a.png").done == 1
    (note,) = lines(tmp_path)[0]["notes"]
    assert "diverged with fit.learning_rate=0.36; this is the result with 0.09" in note


def test_one_cluster_is_noted(tmp_path: Path, monkeypatch) -> None:
    save_lesion(tmp_path / "a.png")

    def merging(*args: Any, **more: Any):
        result = brightness_fit(*args, **more)
        return type(result)(
            result.labels, result.logits[..., :1], result.history, result.steps, None, None
        )

    install_fit(monkeypatch, merging)
    run(tmp_path, tmp_path / "a.png")
    assert lines(tmp_path)[0]["area"] == 0 and "single cluster" in lines(tmp_path)[0]["notes"][0]


def test_a_wrong_configuration_stops_before_anything_is_written(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    with pytest.raises(ConfigError):
        run(tmp_path, tmp_path / "a.png", config=CONFIG.replace(segment={"target": "centre"}))
    assert not (tmp_path / "out").exists()


def full(*_: Any, **__: Any) -> None:
    raise OutputError("out/a.mask.png can't be written: no space left on device.")


def test_a_result_that_can_not_be_written_costs_only_itself(tmp_path: Path, monkeypatch) -> None:
    import s3net_jax.run.outputs as outputs

    for name in ("a.png", "b.png"):
        save_lesion(tmp_path / name)
    write = outputs.write_mask

    def once(path: Path, *more: Any) -> None:
        if path.name.startswith("a."):
            full()
        write(path, *more)

    monkeypatch.setattr(outputs, "write_mask", once)
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
    monkeypatch.setattr("s3net_jax.run.outputs.write_mask", full)
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
    """So that they don't fill the memory, however slow the disk is."""
    from s3net_jax.run import many

    for n in range(6):
        save_lesion(tmp_path / f"{n}.png")
    taken, seen = [], []

    class SlowFinisher(many.Finisher):
        def __call__(self, *args: Any) -> Any:
            time.sleep(0.05)
            seen.append(len(taken))
            return super().__call__(*args)

    def counted_fit(*args: Any, **options: Any) -> Any:
        taken.append(None)
        return brightness_fit(*args, **options)

    install_fit(monkeypatch, counted_fit)
    monkeypatch.setattr(many, "Finisher", SlowFinisher)
    monkeypatch.setattr(many, "PIXELS_HELD", 2 * 48 * 64)
    assert run(tmp_path, *(tmp_path / f"{n}.png" for n in range(6))).done == 6
    # Two wait, one is about to be: the next fit begins when one of them is written.
    assert all(count <= n + 3 for n, count in enumerate(seen)) and len(seen) == 6
