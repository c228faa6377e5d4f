"""``s3net segment`` writes the page of its results, and ``s3net review`` rebuilds it."""

from __future__ import annotations

import json
import webbrowser
from pathlib import Path

import pytest

from tests.cli.calling import SMALL, s3net
from tests.pictures import save_lesion
from tests.report.reading import read_page


@pytest.mark.usefixtures("place")
def test_segment_writes_the_page_unless_told_otherwise(capsys) -> None:
    save_lesion(Path("a b.png"))
    code, out, _ = s3net(capsys, "segment", "a b.png", *SMALL)
    assert code == 0 and out.splitlines()[-1] == "The report is out/report.html."
    text = Path("out/report.html").read_text("utf-8")
    assert f"s3net segment 'a b.png' {' '.join(SMALL)}" in read_page(text).text
    assert json.loads(Path("out/run.json").read_text())["command"].startswith("s3net segment 'a b")
    code, out, _ = s3net(capsys, "segment", "a b.png", *SMALL[:-1], "other", "--no-report")
    assert code == 0 and "report" not in out and not Path("other/report.html").exists()
    code, out, _ = s3net(capsys, "segment", "a b.png", *SMALL[:-1], "third", "--json")
    assert json.loads(out.splitlines()[-1])["report"] == "third/report.html"
    Path("foreign").mkdir()
    Path("foreign/report.html").write_text("foreign")
    code, out, err = s3net(capsys, "segment", "a b.png", *SMALL[:-1], "foreign")
    assert code == 2 and "was not written by s3net segment" in err and "--no-report" in err


@pytest.mark.usefixtures("place")
def test_demo_does_not_replace_a_page_of_others(capsys) -> None:
    Path("out").mkdir()
    Path("out/report.html").write_text("foreign")
    code, out, err = s3net(capsys, "demo", "--set", "fit.steps=2", "--size", "32")
    assert (code, out) == (2, "") and "was not written by s3net segment" in err
    assert [path.name for path in Path("out").iterdir()] == ["report.html"]


@pytest.mark.usefixtures("place")
def test_review_rebuilds_the_page(capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or len(opened) == 1)
    save_lesion(Path("a.png"))
    assert s3net(capsys, "segment", "a.png", "--quiet", *SMALL, "--no-report") == (0, "", "")
    assert s3net(capsys, "review", "out") == (0, "The report is out/report.html.\n", "")
    assert "a.overlay.png" in Path("out/report.html").read_text("utf-8") and not opened
    assert s3net(capsys, "review", "out", "--quiet", "--open") == (0, "", "")
    assert opened == [Path("out/report.html").resolve().as_uri()]
    code, _, err = s3net(capsys, "review", "out", "--open")
    assert code == 2 and "No browser could be opened" in err
    code, out, _ = s3net(capsys, "review", "out", "--json")
    assert json.loads(out) == {"event": "review", "report": "out/report.html"}


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Name the output folder to review"),
        (["nowhere"], "nowhere is not a folder"),
        (["."], "contains no results.jsonl: name the output folder of s3net segment"),
        (["out", "--opne"], "Did you mean --open"),
    ],
)
def test_mistakes_are_one_sentence(capsys, words: list[str], sentence: str) -> None:
    code, out, err = s3net(capsys, "review", *words)
    assert code == 2 and out == "" and sentence in err and err.count("\n") == 1
