"""An evaluation as one HTML page that needs no network: tables, distributions, a gallery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from s3net_jax.report.distributions import distributions
from s3net_jax.report.document import document, section, tiles
from s3net_jax.report.gallery import Picture, gallery, switches
from s3net_jax.report.markup import Markup, element
from s3net_jax.report.script import SCRIPT
from s3net_jax.report.tables import interval, pairs, table

__all__ = ["page"]

_METRICS = {
    "dsc": "DSC ↑",
    "hm": "HM ↓",
    "xor": "XOR ↓",
    "hd95": "HD95 (pixels) ↓",
    "boundary_f": "boundary F ↑",
}


def page(
    title: str, summary: dict[str, Any], blind: dict[str, list[float]], pictures: Sequence[Picture]
) -> str:
    """The whole page.

    Args:
      title: what was evaluated.
      summary: as ``summary.json`` holds it.
      blind: method → DSC of each image, blind.
      pictures: of the gallery, which sorts them.
    """
    reference = summary["reference"]
    parts = [
        element("h1", title),
        *_introduction(summary),
        section("Mean DSC, with bootstrap 95 % intervals", _dsc_table(summary)),
        _protocols(summary),
        section("Every metric, blind", _metric_table(summary)),
        section("Against the others, image by image", _comparisons(summary)),
        section("Distribution of the blind DSC", distributions(blind, ours=[reference])),
        section("Gallery", switches(), gallery(pictures)),
        section(
            "Configuration and versions",
            element("div", pairs(summary["config"]), class_="boxes"),
            element("div", pairs(summary["versions"], "versions"), class_="boxes"),
        ),
    ]
    return document(title, parts, script=SCRIPT)


def _introduction(summary: dict[str, Any]) -> list[Markup]:
    ours = summary["methods"].get(summary["reference"])
    if ours is None:
        return [element("p", "No image could be segmented.")]
    found = ours["protocols"]["blind"]["dsc"]
    failed = f"{summary['failed']} inputs failed" if summary["failed"] else "no input failed"
    return [
        tiles(
            {
                "blind DSC": (
                    f"{found['mean']:.1f}",
                    f"95 % interval {found['low']:.1f}–{found['high']:.1f}",
                ),
                "images": (str(ours["images"]), failed),
                "seconds an image": (f"{ours['seconds']:.2f}", "median"),
            }
        )
    ]


def _protocols(summary: dict[str, Any]) -> Markup:
    items = [
        element("li", element("b", name), f": {what}.")
        for name, what in summary["protocols"].items()
    ]
    return element(
        "div",
        element("ul", *items, class_="faint"),
        Markup(
            "<p>Trust <b>blind</b>: it is the only one that a user without ground truth can have. "
            "<b>overlap</b> and <b>oracle</b> let the ground truth choose the cluster, and tell "
            "what a better choice could gain. <b>released</b> also crops the prediction with the "
            "ground truth: under it the whole image as one cluster scores higher than most "
            "methods, so it measures next to nothing.</p>"
        ),
    )


def _dsc_table(summary: dict[str, Any]) -> Markup:
    names = list(summary["protocols"])
    methods = summary["methods"]
    rows = [
        [
            method,
            *(interval(found["protocols"][name]["dsc"]) for name in names),
            f"{found['seconds']:.2f}",
            str(found["images"]),
        ]
        for method, found in methods.items()
    ]
    return table(
        ["method", *names, "seconds", "images"],
        rows,
        ours=_place(methods, summary),
        caption="Mean DSC of every method under every protocol",
    )


def _metric_table(summary: dict[str, Any]) -> Markup:
    methods = summary["methods"]
    rows = [
        [method, *(interval(found["protocols"]["blind"][metric]) for metric in _METRICS)]
        for method, found in methods.items()
    ]
    return table(
        ["method", *_METRICS.values()],
        rows,
        ours=_place(methods, summary),
        caption="Every metric of every method, blind",
    )


def _place(methods: dict[str, Any], summary: dict[str, Any]) -> list[int]:
    return [n for n, method in enumerate(methods) if method == summary["reference"]]


def _comparisons(summary: dict[str, Any]) -> Markup:
    rows = [
        [method, interval(found, sign=True), f"{found['p_value']:.2g}"]
        for method, found in summary["comparisons"].items()
    ]
    heads = [
        f"blind DSC of {summary['reference']} minus that of",
        "mean difference",
        "Wilcoxon p",
    ]
    return table(heads, rows, caption="Differences of the blind DSC, image by image")
