"""The tables of ``docs/quality.md``, out of the summaries of experiments.

python -m benchmarks.quality            write them
python -m benchmarks.quality --check    exit with 1 if the text is not what the files say
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from s3net_jax.experiments.tables import cells, markdown

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
        summary = json.loads(path.read_text())
        parts.append(f"### {summary['title']}\n\n`experiments/{path.stem}.toml`, ")
        parts[-1] += f"seed {summary['seed']} ([summary](quality/{path.name})). "
        parts[-1] += f"Difference: *{summary['reference']}* minus the row, blind, paired.\n"
        for name, rows in summary["data"].items():
            parts.append(f"**{name}**\n\n{markdown(*cells(rows))}")
    return before + START + "\n" + "\n".join(parts) + "\n" + END + after


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
