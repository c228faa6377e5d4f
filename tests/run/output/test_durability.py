"""Test that announced results are complete after kills, errors and power cuts at any moment."""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PilImage

from s3net_jax.cli.display import QuietDisplay
from s3net_jax.io import OutputError, write
from s3net_jax.run import LocalEngine, OutputOptions, Summary, runner, segment_inputs, summary
from s3net_jax.run.output import files
from s3net_jax.run.output.damage import find_damage
from s3net_jax.run.output.log import read_log
from s3net_jax.schema import FailedRecord, FinishedRecord
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.disk import CODES, Dies, Disk, Fails, KilledError, cuts, intercept
from tests.run.small import CONFIG

NAMES = ("a.png", "b.png")


def run(tmp_path: Path, listener: QuietDisplay | None = None) -> Summary:
    """Segment two small pictures."""
    return segment_inputs(
        [tmp_path / name for name in NAMES],
        tmp_path / "out",
        CONFIG,
        engine=LocalEngine(CONFIG, batch=1),
        listener=listener or QuietDisplay(),
        output=OutputOptions(),
    )


class Told(QuietDisplay):
    """Record when a result is announced."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk

    def report_done(self, index: int, record: FinishedRecord) -> None:
        self.disk.note("said", record["stem"])

    def report_failed(self, index: int, record: FailedRecord) -> None:
        pass


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_fit(monkeypatch)
    monkeypatch.setattr(
        runner, "_WRITERS", 1
    )  # one writer: operations come in the same order every time
    monkeypatch.setattr(write, "_is_alive", lambda process: False)  # this one has "died" before
    for slow in ("collect_versions", "describe_devices", "list_implementations"):
        monkeypatch.setattr(summary, slow, dict)
    monkeypatch.setattr(summary, "find_commit", lambda: None)
    small = PilImage.new("RGB", (8, 8))
    monkeypatch.setattr(files, "draw_overlay", lambda *_: small)  # saves drawing time
    for n, name in enumerate(NAMES):
        save_lesion(tmp_path / name, seed=n, shape=(16, 20))


def watch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, before: Any = None) -> Disk:
    """Run once on a watched disk; the run may fail."""
    (tmp_path / "out").mkdir(exist_ok=True)
    disk = Disk(tmp_path / "out")
    if before is not None:
        disk.before = before
    with intercept(monkeypatch, disk), contextlib.suppress(OutputError, KilledError):
        run(tmp_path, Told(disk))
    return disk


def check_said(folder: Path, said: set[str], when: str) -> None:
    """Check that all results announced on the screen or in the log are complete."""
    log = folder / "results.jsonl"
    records = {r["stem"]: r for r in read_log(log)} if log.exists() else {}
    for stem in said:
        assert "error" not in records.get(stem, {"error": ""}), f"{stem} is lost, {when}"
    for record in records.values():
        if "error" not in record:
            assert len(record.get("files", {})) == 4 and not find_damage(folder, record), when


def read_files(folder: Path) -> dict[str, bytes]:
    """Read what a run wrote, without files that contain times."""
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name not in ("run.json", "results.jsonl")
    }


def check_finishes(tmp_path: Path, expected: dict[str, bytes], when: str) -> None:
    """Check that a later run without faults gives the results of an undisturbed run."""
    assert run(tmp_path).failed == 0, when
    assert read_files(tmp_path / "out") == expected, when
    check_said(tmp_path / "out", {"a", "b"}, when)


def clear(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def fault_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Disk, dict[str, bytes]]:
    disk = watch(monkeypatch, tmp_path)
    expected = read_files(tmp_path / "out")
    assert len(expected) == 9
    return disk, expected


@pytest.mark.slow
def test_killed_before_every_operation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    disk, expected = fault_free(monkeypatch, tmp_path)
    for number in range(1, disk.count + 1):
        clear(tmp_path / "out")
        found = watch(monkeypatch, tmp_path, Dies(number))
        said = {one.name for one in found.operations if one.kind == "said"}
        check_said(tmp_path / "out", said, f"killed before {number}")
        check_finishes(tmp_path, expected, f"killed before {number}")


@pytest.mark.slow
@pytest.mark.parametrize("code", CODES)
def test_an_error_of_every_operation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int | None
) -> None:
    disk, expected = fault_free(monkeypatch, tmp_path)
    # Each is two runs. The first error code meets every operation, the others every third one.
    step = 1 if code in (errno.ENOSPC, None) else 3
    for number in range(1, disk.count + 1, step):
        fault = Fails(number, code)
        clear(tmp_path / "out")
        found = watch(monkeypatch, tmp_path, fault)
        when = f"error {code} of {fault.hit}, number {number}"
        said = {one.name for one in found.operations if one.kind == "said"}
        check_said(tmp_path / "out", said, when)
        if code is not None or fault.hit == "write":
            check_finishes(tmp_path, expected, when)


@pytest.mark.slow
def test_the_power_is_cut_after_every_operation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk, expected = fault_free(monkeypatch, tmp_path)
    seen: set[Any] = set()
    for number, cut in enumerate(cuts(disk.operations)):
        state = frozenset(cut.files.items()), frozenset(cut.said)
        if state in seen:
            continue
        seen.add(state)
        clear(tmp_path / "out")
        for name, content in cut.files.items():
            (tmp_path / "out" / name).write_bytes(content)
        check_said(tmp_path / "out", cut.said, f"cut {number}")
        if len(seen) % 2 == 0:  # half of them: each is a whole run
            check_finishes(tmp_path, expected, f"cut {number}")
    assert len(seen) > 60


@pytest.mark.slow
def test_a_result_made_again_is_never_reported_as_done_in_between(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, expected = fault_free(monkeypatch, tmp_path)
    number, killed = 0, True
    while killed:
        number += 1
        (tmp_path / "out/a.mask.png").write_bytes(b"cut off")
        found = watch(monkeypatch, tmp_path, Dies(number))
        killed = found.count >= number
        log = {r["stem"]: r for r in read_log(tmp_path / "out/results.jsonl")}
        if "error" not in log["a"] and find_damage(tmp_path / "out", log["a"]):
            assert (tmp_path / "out/a.mask.png").read_bytes() == b"cut off", "not yet touched"
        check_finishes(tmp_path, expected, f"killed before {number}")
    assert number > 20


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP])
def test_a_file_system_without_fsync_will_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    assert run(tmp_path).done == 2


def test_files_are_on_the_disk_before_their_names_and_names_before_the_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk, _ = fault_free(monkeypatch, tmp_path)
    kinds = [(one.kind, one.name, one.inode, one.more) for one in disk.operations]
    renamed = [n for n, (kind, *_, to) in enumerate(kinds) if kind == "rename" and to[:2] == "a."]
    assert len(renamed) == 4
    log = next(inode for kind, name, inode, _ in kinds if name == "results.jsonl")
    line = next(n for n, (kind, _, inode, data) in enumerate(kinds) if inode == log and data)
    said = kinds.index(("said", "a", -1, None))
    assert ("folder", "", -1, None) in kinds[renamed[-1] : line]
    assert ("sync", "", log, None) in kinds[line:said]
    assert renamed[-1] < line < said
