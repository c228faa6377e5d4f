"""Test that records, names and files on disk are not trusted, nor inputs that change."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.io import OutputError
from s3net_jax.io.regular import open_regular, read_regular
from s3net_jax.run import opening
from s3net_jax.run.content import Content, read_content
from s3net_jax.run.inputs import discover
from s3net_jax.run.names import make_names
from s3net_jax.run.output.files import remove_outdated
from s3net_jax.run.output.log import ResultLog, read_log
from s3net_jax.schema import RecordError, check_result, parse_json
from tests.fakes import fit_brightness, install_fit
from tests.pictures import save_lesion
from tests.run.small import lines, run

DIGEST = "0" * 64


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (7, "it must be an object, got 7"),
        ([], "it must be an object, got a list"),
        ({}, "it has no stem"),
        ({"stem": "../../victim"}, 'stem must be a file name without folders, got "../../victim"'),
        ({"stem": "/victim"}, "a file name without folders"),
        ({"stem": ".."}, "a file name without folders"),
        ({"stem": "a\0b"}, "a file name without folders"),
        ({"stem": "\ud800"}, "a file name without folders"),
        ({"stem": "x" * 300}, "a file name without folders"),
        ({"stem": None}, "stem must be a file name without folders, got null"),
        ({"outputs": 7}, "outputs must be an object, got 7"),
        ({"outputs": ["a.mask.png"]}, "outputs must be an object, got a list"),
        ({"outputs": {"mask": "../a.mask.png"}}, "the file name of a result, without folders"),
        ({"outputs": {"mask": "notes.txt"}}, "the file name of a result"),
        ({"outputs": {"mask": "results.jsonl"}}, "the file name of a result"),
        ({"outputs": {"mask": "b.mask.png"}}, "outputs.mask must be a file a.mask.*, got"),
        ({"outputs": {"mask": "a.labels.png"}}, "outputs.mask must be a file a.mask.*, got"),
        ({"files": {"a.mask.png": {"size": 1, "sha256": DIGEST}}}, "not among its outputs"),
        ({"files": {"a.mask.png": {"size": -1, "sha256": DIGEST}}}, "at least 0, got -1"),
        ({"files": {"a.mask.png": {"size": 1}}}, "has no sha256"),
        ({"sha256": "abc"}, "64 hexadecimal digits"),
        ({"seconds": "3"}, 'at least 0, got "3"'),
        ({"seconds": True}, "at least 0, got true"),
        ({"seconds": 10**400}, "a number above"),
        ({"labels": 2.5}, "labels must be a whole number of at least 0, got 2.5"),
        ({"labels": 2**63}, "labels must be a whole number of at least 0"),
        ({"target": [1, [2]]}, "target[1] must be a whole number of at least 0, got a list"),
        ({"notes": "text"}, "notes must be a list, got"),
        ({"error": 1}, "error must be text, got 1"),
    ],
)
def test_records_are_checked(tmp_path: Path, record: Any, words: str) -> None:
    full = {"stem": "a", **record} if isinstance(record, dict) and record else record
    with pytest.raises(RecordError) as caught:
        check_result(full)
    assert words in str(caught.value)
    path = tmp_path / "out/results.jsonl"
    run(tmp_path, tmp_path / "a.png")
    good = path.read_bytes()
    path.write_bytes(good + json.dumps(full).encode() + b"\n")
    before = path.read_bytes()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="line 2") as refused:
            run(tmp_path, tmp_path / "a.png", overwrite=overwrite)
        assert words in str(refused.value) and str(path) in str(refused.value)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob("*victim*")), "nothing outside of the folder"


def test_fields_of_later_versions_are_kept() -> None:
    check_result({"stem": "a", "loss": None, "sha256": None, "colour": [[{}]], "area": 0})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "too large"),
        (b"[" * 1_000_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": 1, "b": 2, "a": 3}', 'the key "a" twice'),
        (b"9" * 5000, "too many digits"),
        (b"\xff\xfe", "not UTF-8 text"),
        (b"{", "not JSON"),
    ],
)
def test_json_is_strict(text: bytes, words: str) -> None:
    with pytest.raises(RecordError, match=words):
        parse_json(text)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link(path: Path) -> None:
    target = path.parents[1] / "elsewhere"
    target.write_text("private")
    path.symlink_to(target)


def dangling(path: Path) -> None:
    path.symlink_to(path.parents[1] / "created")


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


ODD = [pipe, Path.mkdir, link, dangling, device]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", ["results.jsonl", "run.json", ".running-0", ".running-7"])
def test_what_is_no_file_is_refused_at_once(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    run(tmp_path, tmp_path / "a.png")
    path = tmp_path / "out" / name
    path.unlink(missing_ok=True)
    make(path)
    with pytest.raises(OutputError) as refused:
        run(tmp_path, tmp_path / "a.png")
    assert str(path) in str(refused.value) and len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "created").exists()
    if make is link:
        assert (tmp_path / "elsewhere").read_text() == "private"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("make", ODD)
@pytest.mark.parametrize("name", [".writing-0.json", ".writing-3.json", "a.mask.png"])
def test_what_is_no_file_is_replaced_where_it_holds_nothing_of_value(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    run(tmp_path, tmp_path / "a.png")
    path = tmp_path / "out" / name
    path.unlink(missing_ok=True)
    make(path)
    assert run(tmp_path, tmp_path / "a.png").failed == 0
    if name == "a.mask.png":
        assert not path.is_symlink() and path.is_file()
    if make is link:
        assert (tmp_path / "elsewhere").read_text() == "private"
    assert not (tmp_path / "created").exists()


def test_a_folder_with_content_in_place_of_a_result_is_kept(tmp_path: Path) -> None:
    run(tmp_path, tmp_path / "a.png")
    path = tmp_path / "out/a.mask.png"
    path.unlink()
    path.mkdir()
    (path / "foreign").touch()
    summary = run(tmp_path, tmp_path / "a.png")
    assert summary.failed == 1 and "a.mask.png can't be written" in summary.failures[0]
    (path / "foreign").unlink()
    assert run(tmp_path, tmp_path / "a.png").done == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    for make, words in ((pipe, "pipe"), (Path.mkdir, "directory"), (link, "symbolic link")):
        path = tmp_path / f"sub/{make.__name__}"
        path.parent.mkdir(exist_ok=True)
        make(path)
        for flags in (os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREAT):
            with pytest.raises(OSError, match=words):
                open_regular(path, flags)
    with pytest.raises(OSError, match="device"):
        read_regular("/dev/null")
    assert read_regular(tmp_path / "sub/link", follow=True) == b"private"


def test_only_results_are_deleted(tmp_path: Path) -> None:
    for name in ("notes.txt", "results.jsonl", "a.mask.png"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a.mask.png").touch()
    names = ["notes.txt", "results.jsonl", "sub/a.mask.png", "../a.mask.png", "a.mask.png"]
    remove_outdated(tmp_path, names)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"notes.txt", "results.jsonl", "sub", "a.png"}
    assert (tmp_path / "sub/a.mask.png").exists()


def test_names_are_never_folders() -> None:
    names = make_names([Path(name) for name in ("..png", "...png", "x/...png", ".hidden", "..")])
    assert all(name.strip(".") and "/" not in name for name in names) and len(set(names)) == 5


def test_a_torn_end_of_zeros_is_removed(tmp_path: Path) -> None:
    """A power cut can leave such a file on file systems that write sizes before data."""
    path = tmp_path / "results.jsonl"
    ResultLog(path).put({"stem": "a", "error": "x"})
    whole = path.read_bytes()
    for tail in (b"\0" * 5000, b'{"stem": "b"' + b"\0" * 9, b'{"stem": "b", "error": "x"}\0\0'):
        path.write_bytes(whole + tail)
        complete = tail.endswith(b"}\0\0")
        assert len(read_log(path)) == 1 + complete and path.read_bytes() == whole + tail
        assert len(ResultLog(path).list_records()) == 1 + complete
        assert path.read_bytes() == whole + tail.rstrip(b"\0") + b"\n" if complete else whole


def test_another_process_that_died_within_a_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    log = ResultLog(path)
    log.put({"stem": "a", "error": "x"})
    with path.open("ab") as file:
        file.write(b'{"stem": "b", "err')
    log.put({"stem": "c", "error": "x"})
    assert [record["stem"] for record in read_log(path)] == ["a", "c"]


def test_markers_of_killed_runs_go_when_they_have_served(tmp_path: Path) -> None:
    run(tmp_path, tmp_path / "a.png")
    for n in (0, 4):
        (tmp_path / f"out/.writing-{n}.json").write_text('["a.mask.png", "gone.mask.png"]')
    assert run(tmp_path, tmp_path / "a.png").skipped == 1
    assert not list((tmp_path / "out").glob(".writing-*"))
    (tmp_path / "out/.writing-4.json").write_text('["b.mask.png"]')
    (tmp_path / "out/b.mask.png").write_text("half a result")
    run(tmp_path, tmp_path / "a.png")
    assert ResultLog(tmp_path / "out/results.jsonl").unfinished == {"b.mask.png"}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def change_during_the_fit(monkeypatch: pytest.MonkeyPatch, change: Callable[[], None]) -> None:
    done: list[bool] = []

    def fit(*args: Any, **more: Any) -> Any:
        if not done:
            done.append(True)
            change()
        return fit_brightness(*args, **more)

    install_fit(monkeypatch, fit)


def test_an_input_that_is_replaced_during_the_run_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    change_during_the_fit(monkeypatch, lambda: (save_lesion(path, seed=9), None)[1])
    summary = run(tmp_path, path)
    assert summary.failed == 1 and "changed while it was segmented" in summary.failures[0]
    assert not list((tmp_path / "out").glob("a.*"))
    assert run(tmp_path, path).done == 1 and lines(tmp_path)[0]["sha256"] == sha256(path)
    assert run(tmp_path, path).skipped == 1


def test_an_input_that_is_replaced_while_it_is_read_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, opened = tmp_path / "a.png", opening.open_case

    def open_late(*arguments: Any) -> Any:
        save_lesion(path, seed=9)
        return opened(*arguments)

    monkeypatch.setattr(opening, "open_case", open_late)
    assert run(tmp_path, path).failed == 1 and "error" in lines(tmp_path)[0]
    monkeypatch.setattr(opening, "open_case", opened)
    assert run(tmp_path, path).done == 1 and lines(tmp_path)[0]["sha256"] == sha256(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("make", [pipe, link, dangling])
def test_a_run_file_that_is_no_file_is_replaced_when_asked(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    run(tmp_path, tmp_path / "a.png")
    path = tmp_path / "out/run.json"
    path.unlink()
    make(path)
    assert run(tmp_path, tmp_path / "a.png", overwrite=True).done == 1
    assert path.is_file() and not path.is_symlink() and not (tmp_path / "created").exists()


def test_an_input_that_vanishes_during_the_run_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    content = path.read_bytes()
    change_during_the_fit(monkeypatch, path.unlink)
    summary = run(tmp_path, path)
    assert summary.failed == 1 and "was removed while it was segmented" in summary.failures[0]
    assert not any("sha256" in record for record in lines(tmp_path))
    path.write_bytes(content)
    assert run(tmp_path, path).done == 1 and lines(tmp_path)[0]["sha256"] == sha256(path)


def test_a_result_of_unknown_content_is_made_again(tmp_path: Path) -> None:
    """Earlier versions recorded null for an input that had vanished, and refused the folder."""
    path = tmp_path / "a.png"
    run(tmp_path, path)
    record = lines(tmp_path)[0] | {"sha256": None}
    (tmp_path / "out/results.jsonl").write_text(json.dumps(record) + "\n")
    assert run(tmp_path, path).done == 1 and lines(tmp_path)[0]["sha256"] == sha256(path)


def test_the_digest_of_an_input_notices_every_change(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    old = path.stat()

    def content() -> Content:
        return read_content(discover([path])[0])

    found = content()
    assert found.digest == sha256(path)
    found.check()
    path.chmod(0o600)
    found.check()  # the content is the same
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))  # the same size and time
    with pytest.raises(ValueError, match="changed"):
        found.check()


def test_a_volume_of_two_files_is_both(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).integers(0, 255, (16, 18, 3)).astype(np.int16)
    nib.save(nib.Nifti1Pair(values, np.eye(4)), tmp_path / "v.hdr")
    found = read_content(discover([tmp_path / "v.hdr"])[0])
    (tmp_path / "v.img").write_bytes(values[::-1].tobytes())
    with pytest.raises(ValueError, match=r"new content in v\.img"):
        found.check()


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "gone", "folder", "link"])
@pytest.mark.parametrize("kind", ["labels.png", "mask.png", "overlay.png", "history.json"])
def test_a_damaged_result_is_made_again(tmp_path: Path, damage: str, kind: str) -> None:
    run(tmp_path, tmp_path / "a.png")
    path = tmp_path / f"out/a.{kind}"
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif damage == "link":
        (tmp_path / "copy").write_bytes(content)
        path.symlink_to(tmp_path / "copy")
    elif damage != "gone":
        path.write_bytes({"empty": b"", "cut": content[:-9], "flipped": flipped}[damage])
    assert run(tmp_path, tmp_path / "a.png").done == 1
    assert path.read_bytes() == content and not path.is_symlink()
    assert run(tmp_path, tmp_path / "a.png").skipped == 1


def test_results_without_digests_are_kept_if_they_are_there(tmp_path: Path) -> None:
    run(tmp_path, tmp_path / "a.png")
    record = lines(tmp_path)[0]
    files = record.pop("files")
    assert {name: (tmp_path / "out" / name).stat().st_size for name in files} == {
        name: one["size"] for name, one in files.items()
    }
    (tmp_path / "out/results.jsonl").write_text(json.dumps(record) + "\n")
    assert run(tmp_path, tmp_path / "a.png").skipped == 1
    (tmp_path / "out/a.mask.png").write_bytes(b"")
    assert run(tmp_path, tmp_path / "a.png").done == 1
