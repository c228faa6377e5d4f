"""Build the page on which a person reviews the results of a run without ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from s3net_jax.io import make_cluster_colors
from s3net_jax.report.assets import REVIEW_SCRIPT, REVIEW_STYLE
from s3net_jax.report.cards import wrap_card
from s3net_jax.report.document import (
    build_document,
    build_links,
    build_section,
    build_tiles,
    link_files,
)
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.tables import build_pairs

__all__ = ["GENERATOR", "Review", "build_review_page"]

GENERATOR = "s3net-jax segment"
"""Name in the page's head, which distinguishes it from other files called report.html."""

_KEYS = {
    "j, →": "next result",
    "k, ←": "previous result",
    "Enter": "enlarge the result",
    "0–9": "add cluster 0–9 to the target, or remove it",
    "c": "begin with no cluster",
    "r": "return to the tool's target",
    "g": "mark the result as good",
    "b": "mark the result as bad",
    "s": "save targets.csv",
    "?": "show these keys",
    "Esc": "close",
}


@dataclass(frozen=True)
class Review:
    """Content of a review page.

    Attributes:
      title: heading of the page.
      run: identity of the run, under which a browser keeps a person's marks.
      status: ``running``, ``finished`` or ``interrupted``.
      written: time at which the page is written, for people.
      cards: (key, card) of each result, in the order of the page.
      figures: tiles, see :func:`build_tiles`.
      expects: whether results have an expected DSC to sort by.
      done, total: number of inputs that are processed, and of all inputs.
      left_out: number of results that the page does not show.
      failures: a sentence for each input that failed.
      notes: sentences on the run.
      command: command that made the results, or "".
      retarget: command that applies the saved file.
      settings: configuration and circumstances, as for :func:`build_pairs`; one mapping a title.
      files: files beside the page → their description.
    """

    title: str
    run: str
    status: str
    written: str
    cards: Sequence[tuple[str, Markup]]
    figures: dict[str, tuple[str, str]]
    expects: bool
    done: int
    total: int
    left_out: int = 0
    failures: Sequence[str] = ()
    notes: Sequence[str] = ()
    command: str = ""
    retarget: str = ""
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def build_review_page(review: Review) -> str:
    """Build the complete page; it is self-contained and shows all results without a script."""
    heads = {"results": "Results"}
    heads |= {"failures": f"Failures ({len(review.failures)})"} if review.failures else {}
    heads |= {"choices": "Your choices", "settings": "Settings"}
    parts = [
        element("h1", review.title),
        _build_progress(review),
        build_tiles(review.figures),
        build_links(heads),
        _build_results(review),
    ]
    if review.failures:
        items = [element("li", sentence) for sentence in review.failures]
        parts.append(build_section("Failures", element("ul", *items), anchor="failures"))
    parts += [
        _build_choices(review),
        _build_settings(review),
        *([link_files(review.files)] if review.files else []),
        _build_viewer(),
        _build_keys(),
    ]
    return build_document(
        review.title, parts, script=REVIEW_SCRIPT, style=REVIEW_STYLE, generator=GENERATOR
    )


def _build_progress(review: Review) -> Markup:
    parts: list[Markup] = []
    if review.status == "running":
        bar = element(
            "progress", value=review.done, max=max(review.total, 1), aria_label="inputs processed"
        )
        text = f"{review.done} of {review.total} so far, at {review.written}."
        box = element("input", type="checkbox", id="reload", checked=True)
        switch = element("label", box, " reload while the run continues", class_="needs-script")
        parts.append(element("p", bar, element("b", text), switch, class_="progress"))
    elif review.status == "interrupted":
        parts.append(
            element(
                "p",
                element("b", f"Interrupted after {review.done} of {review.total} inputs."),
                " To resume, repeat the command without --overwrite.",
            )
        )
    if review.left_out:
        shown = len(review.cards)
        parts.append(
            element(
                "p",
                f"{shown} of {shown + review.left_out} results are shown, the least certain ones; "
                "results.jsonl lists all.",
            )
        )
    parts += [element("p", note, class_="faint") for note in review.notes]
    return element("div", *parts, id="state", data_status=review.status, data_at=review.written)


def _build_results(review: Review) -> Markup:
    if not review.cards:
        text = "There is no result yet." if review.status == "running" else "There is no result."
        return build_section("Results", element("p", text, class_="faint"), anchor="results")
    orders = {"expected": "expected DSC"} if review.expects else {}
    orders |= {"name": "name", "area": "area", "verdict": "your verdict"}
    shown = {"all": "all results", "check": "to be checked"} if review.expects else {"all": "all"}
    shown |= {"open": "not marked", "good": "good", "bad": "bad", "changed": "with other clusters"}
    controls = element(
        "div",
        element("label", "Sort by ", _build_choice("sort", orders)),
        element("label", element("input", id="reversed", type="checkbox"), " reversed"),
        element("label", "Show ", _build_choice("show", shown)),
        element("span", id="counts", role="status", class_="faint"),
        element("button", "Save targets.csv", type="button", class_="save"),
        element("button", "Keys", type="button", id="show-keys"),
        class_="controls bar needs-script",
        role="group",
        aria_label="Sort, filter and save",
    )
    colors = make_cluster_colors(256).tobytes().hex()
    cards = "".join(wrap_card(key, card) for key, card in review.cards)
    grid = element(
        "div",
        Markup(f"\n{cards}"),
        class_="gallery cards",
        id="cards",
        data_run=review.run,
        data_colors=colors,
    )
    about = (
        "The outline is the target that the tool chose. Enlarge a result to see its clusters and "
        "to pick others."
    )
    if review.expects:
        about = f"The least certain results come first. {about}"
    return build_section("Results", controls, grid, about=about, anchor="results")


def _build_choice(name: str, options: Mapping[str, str]) -> Markup:
    items = (element("option", text, value=value) for value, text in options.items())
    return element("select", *items, id=name)


def _build_choices(review: Review) -> Markup:
    return build_section(
        "Your choices",
        element(
            "p",
            "Your marks and clusters stay in this browser. Save them as targets.csv, and make the "
            "new masks with:",
        ),
        element("pre", element("code", review.retarget), tabindex=0),
        element(
            "div",
            element(
                "label",
                "targets.csv",
                element("textarea", id="targets", readonly=True, rows=6, spellcheck="false"),
            ),
            element(
                "p",
                element("button", "Save targets.csv", type="button", class_="save"),
                element("button", "Forget all marks", type="button", id="forget"),
                element("span", id="saved", role="status"),
                class_="controls",
            ),
            class_="needs-script choices",
        ),
        element(
            "p", "Picking clusters needs a browser that runs scripts.", class_="faint no-script"
        ),
        anchor="choices",
    )


def _build_settings(review: Review) -> Markup:
    command = []
    if review.command:
        command = [element("pre", element("code", review.command), tabindex=0)]
    boxes = join(build_pairs(content, title) for title, content in review.settings.items())
    return build_section(
        "Settings", *command, element("div", boxes, class_="boxes"), anchor="settings"
    )


def _build_viewer() -> Markup:
    """Build the dialog in which one result is enlarged; the script fills it."""

    def button(text: str, name: str, key: str) -> Markup:
        hint = element("kbd", key, aria_hidden="true")
        return element("button", text, hint, type="button", id=name, aria_keyshortcuts=key)

    def view(name: str, *layers: Markup) -> Markup:
        return element(
            "figure",
            element("div", *layers, class_="view"),
            element("figcaption", id=f"{name}-caption"),
            id=name,
        )

    image = element("img", alt="")  # the caption describes it, and the source comes from a card
    lines = element("svg", class_="lines", aria_hidden="true", preserveAspectRatio="none")
    head = element(
        "header",
        element("h2", id="viewer-title", tabindex=-1),
        element("span", id="viewer-place", class_="faint"),
        element("a", "overlay", id="viewer-overlay", href="#results"),
        element("button", "Close", type="button", id="viewer-close"),
    )
    return element(
        "dialog",
        head,
        element(
            "div",
            view("whole", image, element("canvas", aria_hidden="true"), lines),
            view("clusters", image, element("canvas", aria_hidden="true"), lines),
            class_="views",
        ),
        element("p", id="viewer-target", role="status"),
        element("div", id="chips", role="group", aria_label="Clusters of the target"),
        element(
            "div",
            button("‹ Previous", "previous", "k"),
            button("Next ›", "next", "j"),
            button("Good", "good", "g"),
            button("Bad", "bad", "b"),
            button("No cluster", "clear", "c"),
            button("The tool's target", "reset", "r"),
            class_="controls actions",
        ),
        element("p", id="viewer-facts", class_="faint"),
        id="viewer",
        aria_labelledby="viewer-title",
    )


def _build_keys() -> Markup:
    rows = [
        element("div", element("dt", element("kbd", keys)), element("dd", text))
        for keys, text in _KEYS.items()
    ]
    return element(
        "dialog",
        element("h2", "Keys", id="keys-title"),
        element("dl", *rows),
        element("button", "Close", type="button", id="keys-close"),
        id="keys",
        aria_labelledby="keys-title",
    )
