"""The page of a run: it grows, survives kills, is complete in the end, and stays small."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.errors import OutputError
from s3net_jax.run import review_folder
from s3net_jax.run.review import drawing, folder, report, updates
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.report.reading import Reader, read_page
from tests.run.small import CONFIG, interrupt_at, lines, run


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


def read(tmp_path: Path) -> Reader:
    return read_page((tmp_path / "out/report.html").read_text("utf-8"))


def list_cards(page: Reader) -> dict[str, dict[str, str | None]]:
    cards = (tag for tag in page.all("figure") if tag.get("class") == "card")
    return {str(card["data-name"]): card for card in cards}


def test_a_finished_run_has_a_page_of_its_results(tmp_path: Path) -> None:
    inputs = [tmp_path / f"{name}.png" for name in ("a", "b", "broken")]
    for n, path in enumerate(inputs):
        save_lesion(path, seed=n)
    inputs[2].write_text("no picture")
    summary = run(tmp_path, *inputs, report=True, command="s3net segment <a>.png")
    assert summary.report == tmp_path / "out/report.html"
    page = read(tmp_path)
    cards = list_cards(page)
    assert all(card["data-labels"] for card in cards.values())
    records = {record["stem"]: record for record in lines(tmp_path)}
    expected = [records[stem]["expected_dsc"] for stem in cards]
    assert set(cards) == {"a", "b"} and expected == sorted(expected)  # least certain first
    assert cards["a"]["data-target"] == ",".join(map(str, records["a"]["target"]))
    assert records["broken"]["error"] in page.text
    assert "s3net segment <a>.png" in page.text and CONFIG.digest in page.text
    assert f"s3net retarget {tmp_path / 'out'} --targets targets.csv" in page.text
    assert "so far" not in page.text
    left = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")}
    assert left == set()


def test_without_the_option_there_is_no_page(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    assert run(tmp_path, tmp_path / "a.png").report is None
    assert not (tmp_path / "out/report.html").exists()


def test_the_page_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is updated during the run, with what is finished by then."""
    seen: list[tuple[str, int]] = []
    write = report.Report.write

    def watch(self: Any, *args: Any, **more: Any) -> Path:
        path = write(self, *args, **more)
        page = read(tmp_path)
        state = next(tag for tag in page.all("div") if tag.get("id") == "state")
        seen.append((str(state["data-status"]), len(list_cards(page))))
        return path

    monkeypatch.setattr(report.Report, "write", watch)
    monkeypatch.setattr(updates, "_PAUSE", 0)
    monkeypatch.setattr(updates, "_REST", 0)
    inputs = [tmp_path / f"{n}.png" for n in range(4)]
    for path in inputs:
        save_lesion(path)
    run(tmp_path, *inputs, report=True)
    assert seen[0][0] == "running" and seen[-1] == ("finished", 4)
    assert [n for _, n in seen] == sorted(n for _, n in seen)
    assert {status for status, _ in seen[:-1]} == {"running"}


def test_updates_take_a_small_part_of_the_run(tmp_path: Path) -> None:
    """After an update of s seconds, the next one waits 32 s: at most 3 % of the time."""
    one = updates.ReportUpdates(tmp_path, True)

    class Slow:
        path = tmp_path / "report.html"

        def write(self, *_: Any, **__: Any) -> Path:
            time.sleep(0.3)
            return self.path

    one._report = Slow()  # type: ignore[assignment]
    assert one.is_due()
    one.begin()
    assert not one.is_due(), "one update at a time"
    one.finish(draw_all=True)
    assert one._next >= time.monotonic() + 32 * 0.3 - 1.5
    assert not updates.ReportUpdates(tmp_path, False).is_due(), "only the first process updates"


@pytest.mark.slow
def test_a_resumed_run_draws_only_what_is_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = [tmp_path / f"{n}.png" for n in range(3)]
    for path in inputs:
        save_lesion(path)
    install_fit(monkeypatch, interrupt_at(3))
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, *inputs, report=True)
    page = read(tmp_path)
    assert list(list_cards(page)) == ["0", "1"]
    assert "Interrupted after 2 of 3 inputs." in page.text
    run_of = next(tag["data-run"] for tag in page.all("div") if tag.get("id") == "cards")
    drawn: list[str] = []
    draw = drawing.draw_card

    def count(path: Path, record: Any, *more: Any) -> Any:
        drawn.append(record["stem"])
        return draw(path, record, *more)

    monkeypatch.setattr(report, "draw_card", count)
    install_fit(monkeypatch)
    run(tmp_path, *inputs, report=True)
    assert drawn == ["2"]
    page = read(tmp_path)
    assert list(list_cards(page)) == ["0", "1", "2"] and "Interrupted" not in page.text
    same = next(tag["data-run"] for tag in page.all("div") if tag.get("id") == "cards")
    assert same == run_of, "marks in the browser are kept"
    before = list_cards(page)
    (tmp_path / "out/report.html").unlink()
    review_folder(tmp_path / "out")
    assert list_cards(read(tmp_path)) == before and len(drawn) == 4, "all are drawn without a page"


def test_a_killed_run_is_not_called_running(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png", report=True)
    path = tmp_path / "out/run.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "status": "running", "inputs": 9}))
    (tmp_path / "out/.running-0").touch()  # a killed process leaves its lock file, unlocked
    review_folder(tmp_path / "out")
    assert "Interrupted after 1 of 9 inputs." in read(tmp_path).text


def test_overwriting_does_not_list_waiting_inputs_as_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        save_lesion(tmp_path / f"{name}.png")
    run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    log = tmp_path / "out/results.jsonl"
    pending = {"stem": "b", "error": f"b.png {folder.PENDING}"}
    log.write_text(log.read_text() + json.dumps(pending) + "\n")
    found = folder.read_folder(tmp_path / "out")
    assert found.failures == [f"b.png {folder.PENDING}"], "the run has ended: it did fail"
    path = tmp_path / "out/run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "running"}))
    monkeypatch.setattr(folder, "is_folder_held", lambda _: True)
    assert folder.read_folder(tmp_path / "out").failures == []


def test_moved_inputs_are_not_needed(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png", report=True)
    shutil.move(tmp_path / "out", tmp_path / "elsewhere")
    (tmp_path / "a.png").unlink()
    (tmp_path / "elsewhere/report.html").unlink()
    path = review_folder(tmp_path / "elsewhere")
    assert list_cards(read_page(path.read_text()))["a"]["data-labels"]


def test_damaged_files_are_named_on_the_page(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_lesion(tmp_path / f"{name}.png")
    run(tmp_path, tmp_path / "a.png", tmp_path / "b.png")
    (tmp_path / "out/a.labels.png").write_text("broken")
    (tmp_path / "out/b.overlay.png").unlink()
    page = read_page(review_folder(tmp_path / "out").read_text())
    assert list(list_cards(page)) == ["a", "b"] and page.text.count("No picture can be shown") == 2
    assert "a.labels.png is damaged" in page.text and "b.overlay.png can't be read" in page.text


def test_estimates_sort_the_page_and_measures_are_shown(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        save_lesion(tmp_path / f"{name}.png")
    run(tmp_path, *(tmp_path / f"{name}.png" for name in ("a", "b", "c")))
    log = tmp_path / "out/results.jsonl"
    extra = {
        "a": {"expected_dsc": 0.9, "check": False, "measures": {"area_mm2": 12.341}},
        "b": {"expected_dsc": 0.4, "check": True, "measures": {"area_mm2": None}},
        "c": {},
    }
    records = [{**record, **extra[record["stem"]]} for record in lines(tmp_path)]
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    page = read_page(review_folder(tmp_path / "out").read_text())
    assert list(list_cards(page)) == ["b", "a", "c"]
    assert "12.34 mm²" in page.text and "expected DSC 0.40" in page.text
    assert page.text.count("to be checked") == 3  # tile, filter, and the flag of b


def test_a_foreign_page_is_not_replaced(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    page = tmp_path / "out/report.html"
    page.write_text("<html>a report of somebody else</html>")
    with pytest.raises(OutputError, match=r"report.html was not written by s3net segment"):
        run(tmp_path, tmp_path / "a.png", report=True)
    assert "somebody else" in page.read_text() and not (tmp_path / "out/results.jsonl").exists()
    run(tmp_path, tmp_path / "a.png")
    with pytest.raises(OutputError, match="move the file away"):
        review_folder(tmp_path / "out")
    run(tmp_path, tmp_path / "a.png", report=True, overwrite=True)
    assert list(list_cards(read(tmp_path))) == ["a"]


def test_a_page_that_cannot_be_written_does_not_end_the_run(tmp_path: Path) -> None:
    save_lesion(tmp_path / "a.png")
    (tmp_path / "out/report.html/inside").mkdir(parents=True)
    summary = run(tmp_path, tmp_path / "a.png", report=True, overwrite=True)
    assert summary.done == 1 and summary.report is None
    with pytest.raises(OutputError, match=r"results\.jsonl"):
        review_folder(tmp_path)
    with pytest.raises(OutputError, match="not a folder"):
        review_folder(tmp_path / "nowhere")


@pytest.mark.skipif(os.name == "nt", reason="names of Windows cannot contain these characters")
def test_hostile_names(tmp_path: Path) -> None:
    names = ['<img src=x onerror="alert(1)">', "=cmd|' -C calc'!A0", "a:b#c?d%e", "x\ny"]
    names.append(os.fsdecode(b"na\xefve\xe2\x80\xae"))
    inputs = [tmp_path / f"{name}.png" for name in names]
    for path in inputs:
        save_lesion(path)
    run(tmp_path, *inputs, report=True)
    page = read(tmp_path)
    assert len(list_cards(page)) == len(names) and len(page.all("script")) == 1
    assert not any(name.startswith("on") for _, tag in page.tags for name in tag)
    cells = [card["data-cell"] or "" for card in list_cards(page).values()]
    assert not any(cell.startswith("=") for cell in cells)


@pytest.mark.slow
def test_two_hundred_results_stay_small(tmp_path: Path) -> None:
    """Noise compresses badly: photographs take less. The page has less than 15 MB."""
    inputs = [tmp_path / f"{n:03d}.png" for n in range(200)]
    for n, path in enumerate(inputs):
        pixels = np.random.default_rng(n).integers(0, 256, (300, 400, 3)).astype(np.uint8)
        PilImage.fromarray(pixels).save(path, compress_level=0)
    start = time.perf_counter()
    run(tmp_path, *inputs, report=True, batch=10)
    size = (tmp_path / "out/report.html").stat().st_size
    print(f"{size / 1e6:.1f} MB, {time.perf_counter() - start:.1f} s")
    assert 2e6 < size < 15e6
    assert len(list_cards(read(tmp_path))) == 200


@pytest.mark.slow
def test_volumes_show_a_slice(tmp_path: Path) -> None:
    import tifffile

    stack = np.random.default_rng(0).integers(90, 110, (5, 40, 48)).astype(np.uint8)
    stack[1:4, 10:25, 12:30] = 200
    tifffile.imwrite(tmp_path / "v.tif", stack, photometric="minisblack")
    run(tmp_path, tmp_path / "v.tif", report=True)
    page = read(tmp_path)
    assert list_cards(page)["v"]["data-grid"] == "48x40" and "of 5" in page.text
