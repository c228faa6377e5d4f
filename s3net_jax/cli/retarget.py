"""Choose or correct targets of finished results: the command ``retarget``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from s3net_jax.errors import UsageError
from s3net_jax.schema import ResultRecord
from s3net_jax.text import escape_unseen, format_json_line

if TYPE_CHECKING:
    from s3net_jax.run import Changes, Listing, Results

__all__ = ["run_retarget"]

_WAYS = ("target", "targets", "marks", "undo", "list")


def run_retarget(args: argparse.Namespace) -> int:
    """Run ``s3net retarget``; return 0 if all results were changed, 1 if any could not be."""
    if not args.folder:
        raise UsageError("Name the output folder: s3net retarget DIR --target RULE.")
    given = [way for way in _WAYS if getattr(args, way) is not None]
    if len(given) != 1:
        options = ", ".join(f"--{way}" for way in _WAYS)
        problem = f"--{given[0]} and --{given[1]} exclude each other" if given else "Nothing to do"
        raise UsageError(f"{problem}: give exactly one of {options}.")
    _check_options(args, given[0])
    from s3net_jax.run import open_results, refresh_report

    if args.target is not None:
        from s3net_jax.masks import parse_choice

        parse_choice(args.target)  # before the folder is opened
    with open_results(Path(args.folder)) as results:
        code = _RUNNERS[given[0]](args, results)
        if given[0] != "list":
            refresh_report(Path(args.folder))
        return code


def _check_options(args: argparse.Namespace, way: str) -> None:
    if args.only is not None and way in ("targets", "marks"):
        raise UsageError(f"--only does not apply to --{way}, which names the images itself.")
    if args.only is not None and way == "undo" and args.undo:
        raise UsageError("--undo names images, so omit --only.")
    if args.images and way in ("undo", "list"):
        raise UsageError(f"--images does not apply to --{way}, which does not read the inputs.")


def _run_target(args: argparse.Namespace, results: Results) -> int:
    from s3net_jax.run import apply_requests, request_target

    requests = request_target(args.target, _select(results, args.only))
    display = _Display(args)
    return display.finish(apply_requests(results, requests, args.images or (), display))


def _run_targets(args: argparse.Namespace, results: Results) -> int:
    from s3net_jax.run import apply_requests, read_targets

    requests = read_targets(Path(args.targets), results.names)
    display = _Display(args)
    return display.finish(apply_requests(results, requests, args.images or (), display))


def _run_marks(args: argparse.Namespace, results: Results) -> int:
    from s3net_jax.run import apply_marks, find_marks

    drawn = find_marks(Path(args.marks), results.names)
    display = _Display(args)
    return display.finish(apply_marks(results, drawn, args.images or (), display))


def _run_undo(args: argparse.Namespace, results: Results) -> int:
    from s3net_jax.run import undo_changes

    named = args.undo or args.only
    display = _Display(args)
    stems = _select(results, named)
    return display.finish(undo_changes(results, stems, display, named is not None))


def _run_list(args: argparse.Namespace, results: Results) -> int:
    from s3net_jax.errors import InputError
    from s3net_jax.run import list_clusters

    failures = 0
    for stem in _select(results, args.only):
        try:
            listing = list_clusters(results, stem)
            _draw(args.list, stem, listing)
        except InputError as error:
            failures += 1
            _report_failure(args, stem, str(error))
            continue
        _print_listing(args, stem, listing)
    return 1 if failures else 0


def _draw(folder: str, stem: str, listing: Listing) -> None:
    """Write the picture of the numbered clusters, if a folder is given."""
    if not folder or listing.labels.ndim != 2:
        return
    from s3net_jax.io import make_folder, write_picture
    from s3net_jax.report import draw_numbers

    places = {one.label: one.place for one in listing.clusters if one.place is not None}
    picture = draw_numbers(listing.labels, places)
    write_picture(make_folder(folder) / f"{stem}.numbers.png", picture)


def _print_listing(args: argparse.Namespace, stem: str, listing: Listing) -> None:
    if args.json:
        clusters = [vars(one) for one in listing.clusters]
        print(format_json_line({"event": "clusters", "stem": stem, "clusters": clusters}))
        return
    _print(f"{stem}:")
    for one in listing.clusters:
        place = "" if one.place is None else f", middle at {one.place[0]},{one.place[1]}"
        target = f", {100 * one.target:.0f} % in the target" if one.target else ""
        _print(f"  label {one.label}: {100 * one.share:.1f} %{place}{target}")


def _select(results: Results, names: list[str] | None) -> list[str]:
    """Return the stems of the named results, or of all results, each once."""
    if names is None:
        return results.list_stems()
    return list(dict.fromkeys(results.names.find(name) for name in names))


_RUNNERS: dict[str, Callable[[argparse.Namespace, Results], int]] = {
    "target": _run_target,
    "targets": _run_targets,
    "marks": _run_marks,
    "undo": _run_undo,
    "list": _run_list,
}


class _Display:
    """Print the outcome of each result as the output options ask for."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args

    def report_changed(self, before: ResultRecord, record: ResultRecord) -> None:
        if self._args.json:
            print(format_json_line({"event": "retargeted", **record}), flush=True)
        elif not self._args.quiet:
            _print(f"{record['stem']}: {_describe(record)} (before: {_describe(before)})")
            for note in record.get("notes", []):
                if note not in before.get("notes", []):
                    _print(f"note: {note}", error=True)

    def report_kept(self, record: ResultRecord) -> None:
        if self._args.json:
            print(format_json_line({"event": "unchanged", "stem": record["stem"]}), flush=True)
        elif not self._args.quiet:
            _print(f"{record['stem']}: unchanged, {_describe(record)}")

    def report_failed(self, stem: str, reason: str) -> None:
        _report_failure(self._args, stem, reason)

    def finish(self, changes: Changes) -> int:
        """Print the summary and return the exit code."""
        failed = len(changes.failures)
        if self._args.json:
            counts = {"changed": changes.changed, "unchanged": changes.kept, "failed": failed}
            print(format_json_line({"event": "finished", "out": self._args.folder, **counts}))
        elif not self._args.quiet:
            if changes.changed + changes.kept + failed == 0:
                _print(f"{self._args.folder}: nothing to do.")
            else:
                failures = f", {failed} failed" if failed else ""
                _print(f"{changes.changed} changed, {changes.kept} unchanged{failures}")
        return 1 if failed else 0


def _report_failure(args: argparse.Namespace, stem: str, reason: str) -> None:
    if args.json:
        print(format_json_line({"event": "failed", "stem": stem, "error": reason}), flush=True)
    else:
        _print(f"s3net: {reason}", error=True)


def _describe(record: ResultRecord) -> str:
    change = record.get("retargeted")
    rule = "target of the fit" if change is None else change["target"]
    verdict = f", {record['verdict']!r}" if "verdict" in record else ""
    return f"{rule}, {100 * record.get('area_fraction', 0):.1f} %{verdict}"


def _print(text: str, error: bool = False) -> None:
    print(escape_unseen(text), file=sys.stderr if error else sys.stdout, flush=True)
