"""Test that ``results.jsonl`` is appended to, repaired, and shared by processes."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from s3net_jax.io import OutputError
from s3net_jax.run.output.log import ResultLog


def fill(path: Path, count: int = 3) -> bytes:
    log = ResultLog(path)
    for n in range(count):
        log.put({"stem": f"{n}", "input": "ö", "error": "x"})
    return path.read_bytes()


def test_the_last_line_of_a_stem_counts(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    before = fill(path)
    ResultLog(path).put({"stem": "1", "labels": 2})
    assert path.read_bytes().startswith(before), "nothing is ever taken away"
    log = ResultLog(path)
    assert log.get("1") == {"stem": "1", "labels": 2} and log.get("2") is not None
    assert log.list_finished() == [{"stem": "1", "labels": 2}]


@pytest.mark.parametrize("name", ["a\u2028b", "n\x85l", "bad\udcff"])
def test_names_may_hold_other_ends_of_lines_and_what_is_no_text(tmp_path: Path, name: str) -> None:
    path = tmp_path / "results.jsonl"
    ResultLog(path).put({"stem": name, "labels": 2})
    assert ResultLog(path).get(name) == {"stem": name, "labels": 2}


def test_a_torn_line_is_taken_off_wherever_it_was_torn(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    whole = fill(path)
    start = whole.rstrip(b"\n").rfind(b"\n") + 1
    for cut in range(start + 1, len(whole)):
        path.write_bytes(whole[:cut])
        log = ResultLog(path)
        complete = cut == len(whole) - 1  # only the end of the line is missing
        assert (log.get("2") is not None) == complete, cut
        assert path.read_bytes() == (whole if complete else whole[:start])
        log.put({"stem": "2", "labels": 1})
        assert ResultLog(path).get("2") == {"stem": "2", "labels": 1}


@pytest.mark.parametrize("content", [b"shopping list", b"shopping list\n", b"[1]\n", b"\xff\n"])
def test_foreign_files_are_refused_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="not a list of results"):
        ResultLog(path)
    assert path.read_bytes() == content


def test_a_line_that_can_not_be_written_whole_leaves_no_trace(tmp_path: Path, monkeypatch) -> None:
    import os

    path = tmp_path / "results.jsonl"
    before = fill(path)
    log = ResultLog(path)
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:7]))
    with pytest.raises(OutputError, match="no space left"):
        log.put({"stem": "9"})
    assert path.read_bytes() == before and log.get("9") is None


def test_started_files_are_known_until_they_are_finished(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    log = ResultLog(path)
    with pytest.raises(ZeroDivisionError), log.announce(["a.mask.png"]):
        raise ZeroDivisionError
    with log.announce(["b.mask.png"]):
        pass
    assert ResultLog(path).unfinished == {"a.mask.png"}
    with log.announce(["a.mask.png"]):
        pass
    assert not ResultLog(path).unfinished and not list(tmp_path.iterdir())


def _append(path: Path, name: str) -> None:
    log = ResultLog(path)
    for n in range(100):
        log.put({"stem": f"{name}-{n}", "text": "x" * 3000})


@pytest.mark.slow
def test_processes_may_share_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "results.jsonl"
    workers = [context.Process(target=_append, args=(path, name)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({record["stem"] for record in records}) == 200


def test_a_log_that_can_not_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").mkdir()
    with pytest.raises(OutputError, match=r"can't be opened .*: is a directory"):
        ResultLog(tmp_path / "results.jsonl")
