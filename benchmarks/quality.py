"""The tables of ``docs/quality.md``, out of the summaries that ``s3net evaluate`` wrote.

python -m benchmarks.quality            write them
python -m benchmarks.quality --check    exit with 1 if the text is not what the files say
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.tables import table

__all__ = ["PAGE", "filled"]

_DOCS = Path(__file__).parent.parent / "docs"
PAGE, SUMMARIES = _DOCS / "quality.md", _DOCS / "quality"
START, END = "<!-- figures: start -->\n", "<!-- figures: end -->\n"


def filled(text: str) -> str:
    """``text`` with its marked part made anew from ``docs/quality/*.json``."""
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    parts = []
    for path in sorted(SUMMARIES.glob("*.json")):
        parts.append(_table(path.stem, json.loads(path.read_text())))
    return before + START + "\n" + "\n".join(parts) + "\n" + END + after


def _table(name: str, summary: dict[str, Any]) -> str:
    protocols = list(summary["protocols"])
    head = ["mean DSC (95 % interval)", *protocols, "seconds", "blind DSC less than ours by", "p"]
    rows = []
    for method, found in summary["methods"].items():
        cells = [_interval(found["protocols"][p]["dsc"]) for p in protocols]
        other = summary["comparisons"].get(method)
        more = ["", ""] if other is None else [_interval(other), f"{other['p_value']:.2g}"]
        rows.append([method, *cells, f"{found['seconds']:.2f}", *more])
    data, _, _ = name.rpartition("-")
    images = next(iter(summary["methods"].values()))["images"]
    return (
        f"**{data}**, preset `{summary['config']['preset']}`, seed {summary['seed']}, {images} "
        f"images ([summary](quality/{name}.json)):\n\n" + table(head, rows)
    )


def _interval(found: dict[str, float]) -> str:
    return f"{found['mean']:.1f} ({found['low']:.1f} to {found['high']:.1f})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args(arguments)
    old = PAGE.read_text()
    if args.check:
        return int(old != filled(old))
    PAGE.write_text(filled(old))
    return 0


if __name__ == "__main__":
    sys.exit(main())
