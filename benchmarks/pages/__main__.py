"""Write the pages and plots of benchmarks and quality from the committed result files.

python -m benchmarks.pages            write them (plots need matplotlib)
python -m benchmarks.pages --check    change nothing; exit with 1 if a page differs from the files
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.pages.choice import build_choice
from benchmarks.pages.confidence import PLOT, build_confidence, read_plot
from benchmarks.pages.marked import replace_marked
from benchmarks.pages.marks import PAGE as CORRECT
from benchmarks.pages.marks import build_marks
from benchmarks.pages.quality import PAGE as QUALITY
from benchmarks.pages.quality import build_quality_page, build_short_quality
from benchmarks.pages.readme import build_readme_figures, build_readme_quality
from benchmarks.pages.suite_pages import FOLDER, build_suite_pages, read_results
from benchmarks.pages.volumes import PAGE as VOLUMES
from benchmarks.pages.volumes import build_volumes

__all__ = ["README", "build_documents", "main"]

README = Path(__file__).parents[2] / "README.md"


def build_documents() -> dict[Path, str]:
    """Return the text of every page that holds figures, by path."""
    results = read_results()
    readme = replace_marked(README.read_text(), "figures", build_readme_figures(results))
    quality = replace_marked(QUALITY.read_text(), "short", build_short_quality())
    quality = replace_marked(quality, "confidence", build_confidence())
    quality = replace_marked(quality, "choice", build_choice())
    return {
        README: replace_marked(readme, "quality", build_readme_quality()),
        QUALITY: replace_marked(quality, "figures", build_quality_page()),
        CORRECT: replace_marked(CORRECT.read_text(), "marks", build_marks()),
        VOLUMES: replace_marked(VOLUMES.read_text(), "volumes", build_volumes()),
        **build_suite_pages(results),
    }


def main(arguments: list[str] | None = None) -> int:
    """Write or check the pages; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--check", action="store_true", help="change nothing")
    args = parser.parse_args(arguments)
    pages = build_documents()
    if args.check:
        differing = [p for p, text in pages.items() if not p.is_file() or p.read_text() != text]
        for path in differing:
            print(f"{path.name} differs from the result files; run python -m benchmarks.pages.")
        return int(bool(differing))
    from benchmarks.pages.plots import save_plot

    for path, text in pages.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for name, content in read_results().items():
        save_plot(content, FOLDER / f"{name}.svg")
    save_plot(read_plot(), PLOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
