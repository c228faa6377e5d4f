"""Build the tables of ``docs/quality.md`` on the confidence of results."""

from __future__ import annotations

import json
from typing import Any

from benchmarks.confidence.report import ALL, CHOSEN_ON, RESULT
from benchmarks.pages.tables import format_table

__all__ = ["PLOT", "build_confidence", "read_plot"]

PLOT = RESULT.with_suffix(".svg")

_TITLES = {
    "proposals": "Chosen among proposals: `best`",
    "traits": "Chosen by traits: `robust`",
    "clusters": "Chosen in a single label map",
    "choice": "Chosen by a person",
    "transfer": "Other single label maps",
}
_ABOUT = {
    "proposals": "",
    "traits": "The label maps are those of `best`.",
    "clusters": "The label maps are those of `fast`; half of the rows keep the outline of the "
    "clusters, and half redraw it (`segment.boundary=local`).",
    "choice": "The person is simulated, on the label maps of `best` and `fast`: once the clusters "
    "are picked that together are most like the ground truth (`label:2,3`), and once the object is "
    "clicked at its middle (`point:X,Y`).",
    "transfer": "Fits of the first images of the sets, on which nothing was chosen.",
}
_HEAD = ["results", "number", "mean DSC", "expected", "AUROC, DSC < 70", "AUROC, DSC < 80"]
_HEAD += ["flagged", "mean DSC of others", "mean DSC of flagged", "worst tenth flagged"]


def build_confidence() -> str:
    """Return the section on confidence, from ``docs/quality/confidence.json``."""
    content = json.loads(RESULT.read_text())
    limit = round(100 * content["check_below"])
    images = len({(row["data"], row["stem"]) for row in content["rows"]})
    parts = [
        f"{images} images, seed {content['seed']} "
        "([figures of every result](quality/confidence.json)). A result is flagged if its expected "
        f"DSC is below {limit}. DSC in percent.\n",
        f"![Expected and true DSC of the reported half](quality/{PLOT.name})\n",
    ]
    for basis, summaries in content["summaries"].items():
        rows = [_make_row(name, summary) for name, summary in summaries.items()]
        about = f"{_ABOUT[basis]}\n\n" if _ABOUT[basis] else ""
        parts.append(f"### {_TITLES[basis]}\n\n{about}{format_table(_HEAD, rows)}")
    parts.append(f"### Volumes\n\n{_build_volumes(content)}")
    parts.append(f"### Calibration on the reported half\n\n{_build_bins(content)}")
    parts.append(f"### Weights\n\n{_build_weights(content['weights'])}")
    return "\n".join(parts)


def _build_volumes(content: dict[str, Any]) -> str:
    """Tabulate volumes, and how much slices of true masks agree with their neighbours."""
    rows = [
        [
            f"{row['name']}, {row['slices']} slices",
            "one network" if row["one_network"] else "every slice",
            row["target"],
            _percent(row["dsc"]),
            _percent(row["expected_dsc"]),
            _percent(row["evidence"].get("neighbours")),
            "yes" if row["check"] else "no",
        ]
        for row in content["volumes"]
    ]
    head = ["volume", "mode", "target", "DSC", "expected", "neighbours", "flagged"]
    true = content["true_neighbours"]
    agreed = "; ".join(
        f"with every {'' if one['step'] == 1 else 'second '}slice {_percent(one['tenth'])} or more "
        f"for nine of ten of {one['structures']} structures, {_percent(one['lowest'])} at the least"
        for one in true
    )
    return (
        "Nothing was chosen on volumes, and lungs in one CT and in a drawn one show only that the "
        f"estimate works at all.\n\n{format_table(head, rows)}\n"
        "*Neighbours* is the agreement of the slices with their neighbours. Of the true masks in "
        f"the CT it is, {agreed}.\n"
    )


def _build_bins(content: dict[str, Any]) -> str:
    """Tabulate the mean expected and true DSC in bins of expected DSC."""
    rows = [
        [
            _TITLES[basis],
            f"{100 * b['low']:.0f} to {100 * b['high']:.0f}",
            str(b["number"]),
            _percent(b["expected"]),
            _percent(b["dsc"]),
        ]
        for basis in CHOSEN_ON
        for b in content["summaries"][basis][ALL]["bins"]
    ]
    return format_table(["results", "expected DSC", "number", "mean expected", "mean DSC"], rows)


def _build_weights(weights: dict[str, dict[str, float]]) -> str:
    """Tabulate the weights of the logistic maps, a column for each basis."""
    names = list(dict.fromkeys(name for one in weights.values() for name in one))
    rows = [
        [name, *(f"{one[name]:.3f}" if name in one else "" for one in weights.values())]
        for name in names
    ]
    return format_table(["measure", *(f"`{basis}`" for basis in weights)], rows)


def read_plot() -> dict[str, Any]:
    """Read what :func:`benchmarks.pages.plots.save_plot` needs for :data:`PLOT`."""
    return {**json.loads(RESULT.read_text()), "suite": "confidence", "titles": _TITLES}


def _make_row(name: str, found: dict[str, Any]) -> list[str]:
    return [
        name,
        str(found["number"]),
        _percent(found["mean_dsc"]),
        _percent(found["mean_expected"]),
        _format_area(found["auroc_70"], found["below_70"]),
        _format_area(found["auroc_80"], found["below_80"]),
        f"{found['flagged']}",
        _percent(found["mean_dsc_kept"]),
        _percent(found["mean_dsc_flagged"]),
        f"{found['worst_tenth_flagged']} of {found['worst_tenth']}",
    ]


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _format_area(area: float | None, bad: int) -> str:
    """Format an area with the number of bad masks, without which it says little."""
    return f"{'–' if area is None else f'{area:.2f}'} ({bad} bad)"
