"""The README's figures and ``docs/benchmarks.md``, out of the committed result files.

python -m benchmarks.page            write both, and the plots (needs matplotlib)
python -m benchmarks.page --check    exit with 1 if the text is not what the files say
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import operator_tables, tables
from benchmarks.marked import replaced
from benchmarks.summary import summary

__all__ = ["PAGE", "README", "page", "readme"]

_ROOT = Path(__file__).parent.parent
README, PAGE, PLOTS = _ROOT / "README.md", _ROOT / "docs/benchmarks.md", _ROOT / "docs/benchmarks"
RESULTS = Path(__file__).parent / "results"
_SECTIONS = {
    "step": ("One optimisation step", tables.step_table),
    "fit": ("Whole fits", tables.fit_table),
    "many": ("Many images, sweeps, processes", tables.many_table),
    "scaling": ("Sizes, images, channels", tables.scaling_table),
    "ops": ("Operators", operator_tables.ops_table),
    "numerics": ("Rounding errors", operator_tables.numerics_table),
}
"""Suite to the title and the table of a result file."""


def _results() -> dict[str, dict[str, Any]]:
    """File name without its ending to content, suite by suite."""
    found = {p.stem: json.loads(p.read_text()) for p in sorted(RESULTS.glob("*.json"))}
    order = list(_SECTIONS)
    return dict(sorted(found.items(), key=lambda item: order.index(item[1]["suite"])))


def readme(text: str) -> str:
    """``text`` with its marked part made anew from the result files."""
    found = _results()
    steps, fits = (
        [content for name, content in found.items() if name.startswith(f"{suite}-256-64-")]
        for suite in ("step", "fit")
    )
    return replaced(text, "figures", summary(steps, fits))


def page() -> str:
    """``docs/benchmarks.md``: every result file with its table and its plot."""
    lines = [
        "# Benchmarks",
        "",
        "Made by `python -m benchmarks.page` from the files in `benchmarks/results/`, each of",
        "which the command above its table wrote. Candidates take turns, repeat by repeat; ratios",
        "are of neighbours in time. A call of less than five seconds is timed right after",
        "another of the same candidate, as in a loop. Losses are listed like wins. PyTorch's side",
        "is [our own reference](../benchmarks/torch_reference/README.md).",
        "",
    ]
    suite = ""
    for name, content in _results().items():
        title, table = _SECTIONS[content["suite"]]
        if content["suite"] != suite:
            suite = content["suite"]
            lines += [f"## {title}", ""]
        meta = content["metadata"]
        lines += [f"`{meta['command']}`, {meta['date'][:10]}, commit {meta['commit']}"]
        lines += [f"([result](../benchmarks/results/{name}.json)).", ""]
        lines += [f"![{title}](benchmarks/{name}.svg)", "", table(content)]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args(arguments)
    old = README.read_text()
    new, text = readme(old), page()
    if args.check:
        return int(old != new or not PAGE.is_file() or PAGE.read_text() != text)
    from benchmarks.plots import save_plot

    README.write_text(new)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text)
    for name, content in _results().items():
        save_plot(content, PLOTS / f"{name}.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
