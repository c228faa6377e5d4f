"""Build the two short tables of the README: quality, and seconds beside PyTorch."""

from __future__ import annotations

from benchmarks.harness.candidates import COMPILED, OURS, TORCH
from benchmarks.pages.quality import explain_mark, make_short_cells
from benchmarks.pages.tables import Content, format_short_table, name_machine
from benchmarks.suites.fit import FULL_STEPS

__all__ = ["build_readme_figures", "build_readme_quality"]

_METHODS = {
    "s3net best": "`best` (default)",
    "best without a network": "`best`, k-means for networks",
    "classical recipe": "classical recipe",
    "s3net released": "`released`",
    "s3net paper": "`paper`",
}
"""Method → its name in the README."""
_FITS = (
    ("fit-256-64-avx2", OURS, "one"),
    ("fit-256-64-avx512", OURS, "one"),
    ("fit-256-64-nvidia-h200", OURS, "one"),
    ("fit-256-64-nvidia-h200", f"{OURS}, 32 at once", "32"),
)
"""Result file, candidate and number of images at once of each row."""


def build_readme_quality() -> str:
    """Return the table of blind scores of five methods."""
    head, rows = make_short_cells(_METHODS)
    return format_short_table(head, rows) + explain_mark(rows)


def build_readme_figures(results: dict[str, Content]) -> str:
    """Return the table of seconds for an image, beside the fastest PyTorch of each result file.

    Args:
      results: contents of the result files, by file name without suffix.
    """
    rows = []
    for name, candidate, images in _FITS:
        content = results[name]
        found = content["presets"]["released"]
        seconds = {n: FULL_STEPS * row["seconds_per_image_and_step"] for n, row in found.items()}
        best = min(seconds.keys() & set(TORCH), key=lambda n: seconds[n])
        other = "torch_compile" if best == COMPILED else "torch"
        row = [name_machine(content).replace("(R)", ""), images]
        row += [f"{seconds[candidate]:.3g}", f"{seconds[best]:.3g} ({best.removeprefix('torch ')})"]
        row.append(f"{found[candidate][f'times_faster_than_{other}']['median']:.1f}")
        rows.append(row)
    head = ["machine", "images at once", "s3net-jax (s)", "best PyTorch (s)", "times as fast"]
    return format_short_table(head, rows)
