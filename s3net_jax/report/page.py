"""Build the self-contained HTML page of an evaluation: tables, distributions, a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s3net_jax.criteria import REGIONS, TARGET, Criteria, get_criteria
from s3net_jax.report.assets import SCRIPT
from s3net_jax.report.closeup import Closeup, build_closeup
from s3net_jax.report.distributions import draw_distributions
from s3net_jax.report.document import (
    build_document,
    build_links,
    build_section,
    build_tiles,
    link_files,
)
from s3net_jax.report.gallery import Picture, build_gallery, build_switches
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.tables import (
    build_metric_table,
    build_pairs,
    build_table,
    format_interval,
)
from s3net_jax.schema import ComparisonRecord, EvaluationSummary

__all__ = ["build_page"]

_ADVICE: dict[Criteria, str] = {
    TARGET: "Trust <b>blind</b>: only it can be achieved without ground truth. <b>overlap</b> and "
    "<b>oracle</b> use the ground truth to choose the cluster, and show what a better choice could "
    "gain. <b>released</b> also crops the prediction with the ground truth. Under it, the whole "
    "image as one cluster scores higher than most methods, so it measures almost nothing.",
    REGIONS: "All figures are means over the people who segmented an image, then over images; mIoU "
    "fine and coarse take only the person with the most and with the fewest segments. Read them "
    "together, and beside the grid, which ignores the image: PRI is high for any map with several "
    "segments, and VI is mild with too few.",
}
"""How to read the figures, as HTML."""

_LEGENDS = {
    TARGET: ("ground truth", "the tool's mask"),
    REGIONS: ("segments of one person", "the tool's regions"),
}

_FILES = {
    "metrics.csv": "all scores, one row for each method, image and protocol",
    "summary.json": "the tables of this page, the configuration and versions, for programs",
}

_HEADS = {
    "scores": "Scores",
    "distribution": "Distribution",
    "extremes": "Best and worst",
    "gallery-of-all": "Gallery",
    "configuration": "Configuration",
}


def build_page(
    title: str,
    summary: EvaluationSummary,
    blind: dict[str, list[float]],
    pictures: Sequence[Picture],
    best: Sequence[Closeup] = (),
    worst: Sequence[Closeup] = (),
) -> str:
    """Build the complete page.

    Args:
      title: title of the page.
      summary: content of ``summary.json``.
      blind: method → most important figure of each image in percent: blind DSC, or covering.
      pictures: pictures of the gallery, in any order.
      best, worst: close-ups of the best and worst images, the most extreme first.
    """
    reference = summary["reference"]
    criteria = get_criteria(summary["protocols"])
    heads = _HEADS if best else {k: v for k, v in _HEADS.items() if k != "extremes"}
    parts = [element("h1", title), *_build_introduction(summary), build_links(heads)]
    parts += [
        build_section(
            f"Mean {'DSC' if criteria is TARGET else 'scores'} with 95 % bootstrap intervals",
            _build_main_table(summary, criteria),
            _build_protocols(summary, criteria),
            anchor="scores",
        ),
        build_section(
            f"Distribution of the {criteria.main}",
            draw_distributions(blind, ours=[reference]),
            anchor="distribution",
        ),
        *(_build_comparisons(summary, criteria) if summary["comparisons"] else []),
        *_build_metric_sections(summary, criteria),
    ]
    shown = [build_section("Best", *map(build_closeup, best), anchor="extremes")] if best else []
    shown += [build_section("Worst", *map(build_closeup, worst))] if worst else []
    shown.append(build_section("Gallery", build_gallery(pictures), anchor="gallery-of-all"))
    parts += [
        # One box: the switches stay in view.
        element("div", build_switches(*_LEGENDS[criteria]), *shown),
        build_section(
            "Configuration and versions",
            element("div", _build_configuration(summary), class_="boxes"),
            anchor="configuration",
        ),
        link_files(_FILES),
    ]
    return build_document(title, parts, script=SCRIPT)


def _build_configuration(summary: EvaluationSummary) -> Markup:
    run = {
        "preset": summary["config"]["preset"],
        "digest": summary["config_digest"],
        "first seed": summary["seed"],
        "seeds": summary["seeds"],
    }
    sections = {k: v for k, v in summary["config"].items() if k != "preset"}
    return join(
        [
            build_pairs(run, "run"),
            build_pairs(sections),
            build_pairs(summary["versions"], "versions"),
        ]
    )


def _build_introduction(summary: EvaluationSummary) -> list[Markup]:
    ours = summary["methods"].get(summary["reference"])
    if ours is None:
        return [element("p", "No image could be segmented.")]
    criteria = get_criteria(summary["protocols"])
    found = ours["protocols"][criteria.protocol][criteria.metric]
    failed = {0: "no input failed", 1: "1 input failed"}.get(
        summary["failed"], f"{summary['failed']} inputs failed"
    )
    failures = [element("li", sentence) for sentence in summary.get("failures", [])]
    return [
        build_tiles(
            {
                criteria.main: (
                    f"{found['mean']:.1f}",
                    f"95 % interval {found['low']:.1f}–{found['high']:.1f}",
                ),
                "images": (str(ours["images"]), failed),
                "seconds an image": (
                    f"{ours['seconds']:.2f}",
                    "median, with a share of the training"
                    if "training_seconds" in summary
                    else "median",
                ),
            }
        ),
        *([element("ul", *failures, class_="faint")] if failures else []),
    ]


def _build_protocols(summary: EvaluationSummary, criteria: Criteria) -> Markup:
    items = [
        element("li", element("b", name), f": {what}.")
        for name, what in summary["protocols"].items()
    ]
    return element(
        "div",
        element("ul", *items, class_="faint"),
        Markup(f"<p>{_ADVICE[criteria]}</p>"),
    )


def _build_main_table(summary: EvaluationSummary, criteria: Criteria) -> Markup:
    methods = summary["methods"]
    rows = [
        [
            method,
            *(
                format_interval(
                    found["protocols"][column.protocol][column.metric],
                    criteria.metrics[column.metric].digits,
                )
                for column in criteria.ranked_columns
            ),
            f"{found['seconds']:.2f}",
            str(found["images"]),
        ]
        for method, found in methods.items()
    ]
    return build_table(
        ["method", *(column.heading for column in criteria.ranked_columns), "seconds", "images"],
        rows,
        ours=_place_methods(methods, summary),
        caption="Mean DSC of each method under each protocol"
        if criteria is TARGET
        else "Mean scores of each method",
    )


def _build_metric_sections(summary: EvaluationSummary, criteria: Criteria) -> list[Markup]:
    """Build a table of all metrics: for masks only the protocol ``blind``."""
    methods = summary["methods"]
    shown = criteria.ranked_protocols if criteria is REGIONS else (criteria.protocol,)
    return [
        build_section(
            f"All metrics, {protocol}",
            build_metric_table(
                methods,
                criteria,
                protocol,
                ours=_place_methods(methods, summary),
                caption=f"All metrics of each method, {protocol}",
            ),
        )
        for protocol in shown
    ]


def _place_methods(methods: dict[str, Any], summary: EvaluationSummary) -> list[int]:
    return [n for n, method in enumerate(methods) if method == summary["reference"]]


def _build_comparisons(summary: EvaluationSummary, criteria: Criteria) -> list[Markup]:
    found = summary["comparisons"]
    reach = max(max(abs(one["low"]), abs(one["high"])) for one in found.values()) or 1.0
    rows = [
        [
            method,
            format_interval(one, sign=True),
            f"{one['p_value']:.2g}",
            _draw_difference(one, reach),
        ]
        for method, one in found.items()
    ]
    heads = [
        "compared with",
        "mean difference",
        "Wilcoxon p",
        f"← worse, better → (±{reach:.0f})",
    ]
    about = (
        f"{criteria.main[0].upper()}{criteria.main[1:]} of {summary['reference']} minus that of "
        "each other method: mean over images, 95 % bootstrap interval, Wilcoxon signed-rank test."
    )
    shown = build_table(heads, rows, caption=f"Differences in {criteria.main}, paired by image")
    return [build_section("Against other methods, paired by image", shown, about=about)]


def _draw_difference(found: ComparisonRecord, reach: float) -> Markup:
    """Draw the interval as a bar around zero, coloured if it excludes zero."""
    low, mean, high = (50 + 48 * x / reach for x in (found["low"], found["mean"], found["high"]))
    kind = "better" if found["low"] > 0 else "worse" if found["high"] < 0 else ""
    return element(
        "svg",
        Markup(
            '<line class="zero" x1="50%" x2="50%" y1="0" y2="22"/>'
            f'<line class="range" x1="{low:.2f}%" x2="{high:.2f}%" y1="11" y2="11"/>'
            f'<circle cx="{mean:.2f}%" cy="11" r="5"/>'
        ),
        class_=f"difference {kind}".strip(),
        aria_hidden="true",
    )
