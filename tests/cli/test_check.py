"""``s3net check`` finds missing and damaged files, and repeating the command repairs them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax import cli
from tests.fakes import install_fit, resample_less
from tests.pictures import save_lesion

slow = partial(pytest.param, marks=pytest.mark.slow)
SMALL = ["--quiet", "--preset", "fast", "--size", "32", "--set", "fit.steps=3"]
SEGMENT = ["segment", "images", "--out", "out", *SMALL]
EVALUATE = ["evaluate", "--images", "images", "--masks", "masks", "--out", "scores", *SMALL]


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    resample_less(monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    Path("masks").mkdir()
    for n, name in enumerate("ab"):
        truth = save_lesion(Path(f"images/{name}.png"), seed=n)
        PilImage.fromarray(truth.astype(np.uint8) * 255).save(f"masks/{name}.png")


def snapshot(folder: str) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


def flip(path: str) -> None:
    content = bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(path).write_bytes(content)


def test_a_whole_folder(capsys) -> None:
    assert cli.main(SEGMENT) == 0
    before = snapshot("out")
    assert cli.main(["check", "out"]) == 0
    assert capsys.readouterr().out == "out: 2 results checked, all intact.\n"
    assert cli.main(["check", "out", "--json"]) == 0
    (event,) = map(json.loads, capsys.readouterr().out.splitlines())
    counts = {"results": 2, "damaged": 0, "failed": 0, "undigested": 0}
    assert event == {"event": "checked", "out": "out", **counts}
    assert cli.main(["check", "out", "--quiet"]) == 0 and capsys.readouterr() == ("", "")
    assert snapshot("out") == before, "nothing is changed"


def test_every_damage_is_a_line_and_the_command_repairs_it(capsys) -> None:
    assert cli.main(SEGMENT) == 0
    before = {name: data for name, data in snapshot("out").items() if ".jsonl" not in name}
    Path("out/a.labels.png").write_bytes(b"")
    Path("out/a.mask.png").unlink()
    flip("out/b.overlay.png")
    Path("out/b.history.json").write_bytes(before["out/b.history.json"][:-5])
    assert cli.main(["check", "out"]) == 1
    lines = capsys.readouterr().out.splitlines()
    size = len(before["out/b.history.json"])
    assert lines == [
        "out/a.labels.png is empty (0 bytes).",
        "out/a.mask.png is missing.",
        "out/b.overlay.png has different contents than were written.",
        f"out/b.history.json has {size - 5} bytes, but {size} were written.",
        "out: 2 results checked, 2 damaged (4 files are missing or changed). To repair results, "
        "repeat the command that wrote them, without --overwrite.",
    ]
    assert cli.main(["check", "out", "--json"]) == 1
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == [*["damaged"] * 4, "checked"]
    assert events[1] == {"event": "damaged", "file": "out/a.mask.png", "problem": "is missing"}
    assert cli.main(SEGMENT) == 0 and cli.main(["check", "out", "--quiet"]) == 0
    after = snapshot("out")
    timed = {"out/run.json", "out/report.html"}
    assert all(after[name] == data for name, data in before.items() if name not in timed)


@pytest.mark.slow
def test_an_evaluation(capsys) -> None:
    assert cli.main(EVALUATE) == 0 and cli.main(["check", "scores"]) == 0
    table = Path("scores/metrics.csv").read_text()
    flip("scores/predictions/a.mask.png")
    Path("scores/predictions/b.steps.png").write_bytes(b"")
    Path("scores/summary.json").write_text("[")
    Path("scores/metrics.csv").write_text(table[:90])
    assert cli.main(["check", "scores", "--quiet"]) == 1
    lines = capsys.readouterr().out.splitlines()[-4:]
    names = ["summary.json", "metrics.csv", "predictions/a.mask.png", "predictions/b.steps.png"]
    for line, name in zip(lines, names, strict=True):
        assert line.startswith(f"scores/{name} "), line
    assert cli.main(EVALUATE) == 0 and cli.main(["check", "scores"]) == 0

    def drop_seconds(text: str) -> list[str]:
        return [line.rpartition(",")[0] for line in text.splitlines()]

    assert drop_seconds(Path("scores/metrics.csv").read_text()) == drop_seconds(table)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["labels.png", slow("mask.png"), slow("history.json"), slow("steps.png")]
)
def test_an_evaluation_of_damaged_results_without_digests_is_one_sentence(
    capsys, kind: str
) -> None:
    assert cli.main(EVALUATE) == 0
    log = Path("scores/predictions/results.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    for record in records:
        del record["files"]
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    path = Path(f"scores/predictions/a.{kind}")
    path.write_bytes(path.read_bytes()[:60])
    assert cli.main(["check", "scores"]) == 1
    out = capsys.readouterr().out
    assert f"{path} can't be read" in out and "without digests" in out
    assert cli.main(EVALUATE) == 1
    error = capsys.readouterr().err
    assert f"{path} is" in error and "repeat the command" in error
    assert len(error.splitlines()) == 1 and "Traceback" not in error
    path.unlink()
    assert cli.main(EVALUATE) == 0


def test_failures_and_lost_lines_are_reported(capsys) -> None:
    Path("images/c.png").write_text("no picture")
    assert cli.main(SEGMENT) == 1 and cli.main(["check", "out"]) == 0
    assert "1 input failed or did not finish." in capsys.readouterr().out
    log = Path("out/results.jsonl")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:1]))
    assert cli.main(["check", "out"]) == 1
    assert "out/results.jsonl has lost lines" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Name the output folder to check"),
        (["nowhere"], "nowhere is not a folder"),
        (["images"], "images contains no results.jsonl"),
        (["images/a.png"], "is not a folder"),
        (["bad"], "bad/results.jsonl is not a list of results (line 1: stem must be"),
    ],
)
def test_what_can_not_be_checked(capsys, arguments: list[str], words: str) -> None:
    Path("bad").mkdir()
    Path("bad/results.jsonl").write_text('{"stem": "../x"}\n')
    assert cli.main(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
