"""Build the self-contained HTML page of an experiment (methods × data sets)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3net_jax.report.distributions import draw_distributions
from s3net_jax.report.document import TABLE_FILES, build_document, build_section, link_files
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.tables import build_pairs, build_table, format_interval

__all__ = ["build_experiment_page"]

_HEADS = {"dsc": "DSC ↑", "hm": "HM ↓", "xor": "XOR ↓", "hd95": "HD95 (pixels) ↓"}
_HEADS["boundary_f"] = "boundary F ↑"
_APART = "margin-top:28px"
_TRUST = (
    "Trust the protocol blind: only it can be achieved without ground truth. Under released, "
    "the whole image as one cluster scores higher than most methods. The paper's figures are "
    "shown as printed; the paper does not state their protocol."
)


def build_experiment_page(
    summary: Mapping[str, Any], blind: Mapping[str, Mapping[str, Sequence[float]]]
) -> str:
    """Build the complete page.

    Args:
      summary: content of ``summary.json``.
      blind: data set → method → blind DSC of each image, in percent.
    """
    state = summary["evaluations"]
    status = f"{state['done']} of {state['of']} evaluations, seed {summary['seed']}"
    failed = summary["failed"]
    status += f"; {failed} input{'s' if failed > 1 else ''} failed." if failed else "."
    parts: list[str] = [
        element("h1", summary["title"]),
        element("p", status, class_="faint"),
        element("p", _TRUST),
        element("ul", *_list_protocols(summary["protocols"]), class_="faint"),
    ]
    for name, rows in summary["data"].items():
        parts.append(_build_data_set(name, rows, blind[name], summary))
    parts += [
        build_section("Configurations", _build_configurations(summary["methods"])),
        build_section("Versions", element("div", build_pairs(summary["versions"]), class_="boxes")),
        link_files(TABLE_FILES),
    ]
    return build_document(summary["title"], parts)


def _list_protocols(protocols: Mapping[str, str]) -> list[Markup]:
    return [element("li", element("b", name), f": {what}.") for name, what in protocols.items()]


def _build_data_set(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    blind: Mapping[str, Sequence[float]],
    summary: Mapping[str, Any],
) -> Markup:
    reference = summary["reference"]
    marked = [n for n, row in enumerate(rows) if row["method"] == reference]
    shown = [m for m in ("dsc", "hm", "xor") if any(m in row["paper"] for row in rows)]
    protocols = list(summary["protocols"])
    heads = ["mean DSC (95 % interval)", *protocols]
    heads += [f"paper {metric.upper()}" for metric in shown]
    heads += ["difference", "p", "seconds", "images"]
    main = build_table(
        heads,
        [_build_row(row, protocols, shown) for row in rows],
        ours=marked,
        caption=f"Mean DSC on {name}",
    )
    computed = [row for row in rows if "images" in row]
    every = build_table(
        ["blind", *_HEADS.values()],
        [
            [
                row["method"],
                *(format_interval(row["protocols"]["blind"][metric]) for metric in _HEADS),
            ]
            for row in computed
        ],
        ours=[n for n, row in enumerate(computed) if row["method"] == reference],
        caption=f"All metrics on {name}, blind",
    )
    return build_section(
        name,
        main,
        element("h3", "All metrics, blind", style=_APART),
        every,
        element("h3", "Blind DSC of each image", style=_APART),
        draw_distributions(blind, ours=[reference]),
        about=f"Difference: blind DSC of {reference} minus that of the row, paired by image, with "
        "its 95 % interval. p: Wilcoxon signed-rank test.",
    )


def _build_row(row: Mapping[str, Any], protocols: Sequence[str], shown: Sequence[str]) -> list[str]:
    name: str = row["method"]
    paper = [f"{row['paper'][m]:.1f}" if m in row["paper"] else "" for m in shown]
    if "images" not in row:
        return [name, *[""] * len(protocols), *paper, *[""] * 4]
    if row["report"]:
        name = element("a", name, href=f"{row['report']}/report.html")
    other = row["difference"]
    apart = (
        ["", ""]
        if other is None
        else [format_interval(other, sign=True), f"{other['p_value']:.2g}"]
    )
    means = [format_interval(row["protocols"][protocol]["dsc"]) for protocol in protocols]
    return [name, *means, *paper, *apart, f"{row['seconds']:.2f}", str(row["images"])]


def _build_configurations(methods: Mapping[str, Any]) -> Markup:
    """Build a collapsed box for each method, since configurations are long."""
    return join(
        element(
            "details",
            element("summary", name),
            element(
                "div",
                build_pairs({"seeds": found["seeds"], **found["config"]}, "config"),
                class_="boxes",
            ),
        )
        for name, found in methods.items()
    )
