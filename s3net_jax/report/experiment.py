"""Build the self-contained HTML page of an experiment (methods × data sets)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from s3net_jax.criteria import REGIONS, TARGET, Criteria
from s3net_jax.report.distributions import draw_distributions
from s3net_jax.report.document import TABLE_FILES, build_document, build_section, link_files
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.tables import (
    build_metric_table,
    build_pairs,
    build_table,
    format_interval,
)

__all__ = ["build_experiment_page", "describe_training"]

_APART = "margin-top:28px"
_TRUST: dict[Criteria, str] = {
    TARGET: "Trust the protocol blind: only it can be achieved without ground truth. Under "
    "released, the whole image as one cluster scores higher than most methods. The paper's figures "
    "are shown as printed; the paper does not state their protocol.",
    REGIONS: "Read the metrics of regions together, and beside the grid, which ignores the image: "
    "PRI is high for any map with several segments, and VI is mild with too few. Published figures "
    "are on other images.",
}


def build_experiment_page(
    summary: Mapping[str, Any],
    main: Mapping[str, Mapping[str, Sequence[float]]],
    criteria: Mapping[str, Criteria],
) -> str:
    """Build the complete page.

    Args:
      summary: content of ``summary.json``.
      main: data set → method → most important figure (blind DSC or covering) of each image, in
        percent.
      criteria: data set → what is measured on it.
    """
    state = summary["evaluations"]
    repeats = f", {summary['repeats']} evaluations of each method" if "repeats" in summary else ""
    status = f"{state['done']} of {state['of']} evaluations, seed {summary['seed']}{repeats}"
    failed = summary["failed"]
    status += f"; {failed} input{'s' if failed > 1 else ''} failed." if failed else "."
    parts: list[str] = [
        element("h1", summary["title"]),
        element("p", status, class_="faint"),
        *(element("p", _TRUST[one]) for one in dict.fromkeys(criteria.values())),
        element("ul", *_list_protocols(summary["protocols"]), class_="faint"),
    ]
    training = describe_training(summary["methods"])
    parts += [element("p", training, class_="faint")] if training else []
    for name, rows in summary["data"].items():
        parts.append(_build_data_set(name, rows, main[name], criteria[name], summary))
    parts += [
        build_section("Configurations", _build_configurations(summary["methods"])),
        build_section("Versions", element("div", build_pairs(summary["versions"]), class_="boxes")),
        link_files(TABLE_FILES),
    ]
    return build_document(summary["title"], parts)


def describe_training(methods: Mapping[str, Any]) -> str:
    """Explain the seconds of methods that train one network on all images; "" without such methods.

    Args:
      methods: ``methods`` of ``summary.json``.
    """
    names = [
        name
        for name, found in methods.items()
        if found["config"].get("method", {}).get("trained_on") == "folder"
    ]
    if not names:
        return ""
    shown = ", ".join(names)
    return f"The seconds of {shown} include an equal share of the training on all images."


def _list_protocols(protocols: Mapping[str, str]) -> list[Markup]:
    return [element("li", element("b", name), f": {what}.") for name, what in protocols.items()]


def _build_data_set(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    figures: Mapping[str, Sequence[float]],
    criteria: Criteria,
    summary: Mapping[str, Any],
) -> Markup:
    reference = summary["reference"]
    marked = [n for n, row in enumerate(rows) if row["method"] == reference]
    shown = [m for m in criteria.paper if any(m in row["paper"] for row in rows)]
    heads = [criteria.heading, *(column.heading for column in criteria.ranked_columns)]
    heads += [f"paper {criteria.metrics[metric].name}" for metric in shown]
    repeated = any("by_seed" in row for row in rows)
    heads += ["each seed"] if repeated else []
    heads += ["difference", "p", "seconds", "images"]
    table = build_table(
        heads,
        [_build_row(row, criteria, shown, repeated) for row in rows],
        ours=marked,
        caption=f"Mean {'DSC' if criteria is TARGET else 'scores'} on {name}",
    )
    title = criteria.main[0].upper() + criteria.main[1:]
    return build_section(
        name,
        table,
        *_build_metric_tables(name, rows, criteria, reference),
        element("h3", f"{title} of each image", style=_APART),
        draw_distributions(figures, ours=[reference]),
        about=f"Difference: {criteria.main} of {reference} minus that of the row, paired by image, "
        "with its 95 % interval. p: Wilcoxon signed-rank test.",
    )


def _build_metric_tables(
    name: str, rows: Sequence[Mapping[str, Any]], criteria: Criteria, reference: str
) -> list[Markup]:
    """Build a table of all metrics with its heading: for masks only the protocol ``blind``."""
    computed = {row["method"]: row for row in rows if "images" in row}
    parts: list[Markup] = []
    for protocol in criteria.ranked_protocols if criteria is REGIONS else (criteria.protocol,):
        parts += [
            element("h3", f"All metrics, {protocol}", style=_APART),
            build_metric_table(
                computed,
                criteria,
                protocol,
                first=protocol,
                ours=[n for n, method in enumerate(computed) if method == reference],
                caption=f"All metrics on {name}, {protocol}",
            ),
        ]
    return parts


def _build_row(
    row: Mapping[str, Any], criteria: Criteria, shown: Sequence[str], repeated: bool
) -> list[str]:
    name: str = row["method"]
    columns = criteria.ranked_columns
    paper = [
        f"{row['paper'][m]:.{criteria.metrics[m].digits}f}" if m in row["paper"] else ""
        for m in shown
    ]
    if "images" not in row:
        return [name, *[""] * len(columns), *paper, *[""] * (4 + repeated)]
    if row["report"]:
        name = element("a", name, href=f"{row['report']}/report.html")
    other = row["difference"]
    apart = (
        ["", ""]
        if other is None
        else [format_interval(other, sign=True), f"{other['p_value']:.2g}"]
    )
    means = [
        format_interval(
            row["protocols"][column.protocol][column.metric], criteria.metrics[column.metric].digits
        )
        for column in columns
    ]
    seeds = [", ".join(f"{figure:.1f}" for figure in row.get("by_seed", {}).values())]
    ends = [*(seeds if repeated else []), *apart, f"{row['seconds']:.2f}", str(row["images"])]
    return [name, *means, *paper, *ends]


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
