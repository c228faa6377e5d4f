"""Write ``report.html`` from the files of an output folder, atomically."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from s3net_jax.errors import OutputError, get_reason
from s3net_jax.io import open_regular, read_regular, write_text
from s3net_jax.parallel import count_usable_cores, map_in_threads
from s3net_jax.report import (
    GENERATOR,
    Markup,
    Review,
    Sizes,
    build_review_page,
    element,
    find_cards,
)
from s3net_jax.run.output.lock import lock_file, release_file
from s3net_jax.run.review.drawing import draw_card, get_expected, make_key
from s3net_jax.run.review.folder import Folder, check_folder_exists, read_folder
from s3net_jax.schema import ResultRecord
from s3net_jax.text import format_duration

__all__ = ["Report", "check_report", "refresh_report", "review_folder"]

_NAME = "report.html"
_MOST = 2000  # results on a page: with more, browsers take many seconds to show it
_PATIENCE = 20.0  # seconds to wait for another process that writes the page


def check_report(folder: Path) -> None:
    """Check that ``report.html`` may be written.

    Raises:
      OutputError: the file exists and is not a page of :class:`Report`.
    """
    path = folder / _NAME
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            head = file.read(4096)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        problem = f"can't be read ({get_reason(error)})"
    else:
        if element("meta", name="generator", content=GENERATOR).encode() in head:
            return
        problem = "was not written by s3net segment"
    raise OutputError(
        f"{path} {problem}: choose another output folder, move the file away, or pass --no-report."
    )


def review_folder(folder: str | os.PathLike[str]) -> Path:
    """Write the page of a run that has ended, and return its path.

    Args:
      folder: output folder of the run; its inputs are not needed.

    Raises:
      OutputError: the folder is not an output folder, its records are damaged, or the page can't be
        written.
    """
    folder = Path(folder)
    check_folder_exists(folder)
    check_report(folder)
    return Report(folder).write(patience=_PATIENCE)


def refresh_report(folder: Path) -> None:
    """Write the page again if the folder has one, because results have changed.

    Raises:
      OutputError: the page can't be written.
    """
    if os.path.lexists(folder / _NAME):
        review_folder(folder)


class Report:
    """The page of one output folder. It remembers cards, so each result is drawn only once."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _NAME
        self._folder = folder
        self._cards: dict[str, Markup] | None = None

    def write(self, seconds: float = math.inf, patience: float = 0) -> Path:
        """Write the page.

        Args:
          seconds: time for drawing results; those that are not drawn by then are left out, and the
            page counts them.
          patience: seconds to wait while another process writes the page.

        Returns:
          The path of the page.

        Raises:
          OutputError: the page can't be written, or another process keeps writing it.
        """
        end = time.monotonic() + seconds
        with self._hold(patience):
            # Read after locking: of several processes, the last one sees the results of all.
            found = read_folder(self._folder)
            if self._cards is None:
                self._cards = self._read_cards()
            write_text(self.path, build_review_page(self._build_review(found, end)))
        return self.path

    @contextmanager
    def _hold(self, patience: float) -> Iterator[None]:
        lock = self._folder / ".report"
        handle = lock_file(lock, patience)
        if handle is not None and handle < 0:
            raise OutputError(f"Another process is writing {self.path}: try again later.")
        try:
            yield
        finally:
            if handle is not None:
                release_file(lock, handle)

    def _read_cards(self) -> dict[str, Markup]:
        """Read the cards of the earlier page; without one, all results are drawn."""
        try:
            return find_cards(read_regular(self.path).decode("utf-8", "replace"))
        except OSError:
            return {}

    def _build_review(self, found: Folder, end: float) -> Review:
        done, total = found.count_done()
        sizes = Sizes.choose(min(_MOST, max(total, len(found.results))))
        ranked = sorted(found.results, key=_rank)
        shown = ranked[:_MOST]
        keys = {r["stem"]: make_key(r, sizes) for r in shown}
        self._draw(found, shown, keys, sizes, end)
        assert self._cards is not None
        self._cards = {key: self._cards[key] for key in keys.values() if key in self._cards}
        drawn = [key for record in shown if (key := keys[record["stem"]]) in self._cards]
        return Review(
            title=f"Results in {found.path.resolve().name}",
            run=found.identity,
            status=found.status,
            written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S %Z"),
            cards=[(key, self._cards[key]) for key in drawn],
            figures=_list_figures(found),
            expects=any(get_expected(record)[0] is not None for record in shown),
            done=done,
            total=total,
            left_out=len(ranked) - len(shown),
            failures=found.failures,
            notes=[*found.notes, *_describe_missing(found, len(shown) - len(drawn))],
            command=found.command,
            retarget=found.format_command("retarget", "--targets", "targets.csv"),
            settings=found.describe_settings(),
            files=found.list_files(),
        )

    def _draw(
        self,
        found: Folder,
        shown: list[ResultRecord],
        keys: dict[str, str],
        sizes: Sizes,
        end: float,
    ) -> None:
        """Draw the cards that are not there yet, until the time is up."""
        assert self._cards is not None
        cards = self._cards

        def draw(record: ResultRecord) -> Markup:
            return draw_card(found.path, record, found.axis, sizes)

        missing = [record for record in shown if keys[record["stem"]] not in cards]
        step = 2 * count_usable_cores()
        for n in range(0, len(missing), step):
            if time.monotonic() >= end:
                return
            some = missing[n : n + step]
            pixels = max(map(_count_pixels, some))
            for record, card in zip(some, map_in_threads(draw, some, pixels), strict=True):
                cards[keys[record["stem"]]] = card


def _count_pixels(record: ResultRecord) -> int:
    return record.get("width", 1) * record.get("height", 1) * record.get("depth", 1)


def _rank(record: ResultRecord) -> tuple[bool, float, str]:
    """Order results: those to be checked first, then by expected DSC, then by name."""
    expected, check = get_expected(record)
    return not check, math.inf if expected is None else expected, record["stem"]


def _describe_missing(found: Folder, missing: int) -> list[str]:
    if not missing:
        return []
    count = "1 result is" if missing == 1 else f"{missing} results are"
    if found.status == "running":
        return [f"{count} finished but not drawn yet."]
    return [f"{count} not drawn yet; this command draws them: {found.format_command('review')}"]


def _list_figures(found: Folder) -> dict[str, tuple[str, str]]:
    _, total = found.count_done()
    count = len(found.results)
    figures = {"results": (str(count), f"of {max(total, count)} inputs" if total else "")}
    estimates = [get_expected(record) for record in found.results]
    if any(expected is not None for expected, _ in estimates):
        figures["to be checked"] = (
            str(sum(bool(why) for _, why in estimates)),
            "flagged",
        )
    figures["failed"] = (str(len(found.failures)), "listed below" if found.failures else "")
    figures["time"] = (format_duration(found.seconds), _describe_speed(found))
    return figures


def _describe_speed(found: Folder) -> str:
    speed = found.runs[0].get("images_per_minute") if found.runs else None
    return f"{speed:.3g} images a minute" if speed else ""
