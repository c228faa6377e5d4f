"""The review page: whole without a network or a script, in every state of a run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.report import Card, Pixels, Review, Sizes, build_card, build_review_page
from s3net_jax.report.assets import REVIEW_SCRIPT
from tests.report.reading import read_page

EVIL = '<script>alert("&\'")</script>'
LABELS = np.repeat(np.arange(4), 10).reshape(4, 10).repeat(10, 0)
PIXELS = Pixels(PilImage.new("RGB", (40, 40), "gray"), LABELS == 2, LABELS)
CARD = Card(EVIL, "k", "x.overlay.png", [2], [0.25] * 4, 0.25, 0.5, "to be checked", [EVIL], [EVIL])
PAGE = Review(
    title=EVIL,
    run="r",
    status="finished",
    written="now",
    cards=[("k", build_card(CARD, PIXELS, Sizes()))],
    figures={"results": ("1", EVIL)},
    expects=True,
    done=1,
    total=1,
    failures=[EVIL],
    notes=[EVIL],
    command=EVIL,
    retarget=EVIL,
    settings={"run": {EVIL: EVIL}, "": {"fit": {"steps": 3}}},
    files={"results.jsonl": EVIL},
)


@pytest.mark.parametrize("status", ["running", "interrupted", "finished"])
def test_the_page_is_whole_and_escaped(status: str) -> None:
    page = read_page(build_review_page(replace(PAGE, status=status, done=3, total=40)))
    assert len(page.all("script")) == 1
    assert page.text.replace(REVIEW_SCRIPT, "").count(EVIL) >= 12
    assert ("3 of 40 so far" in page.text) == (status == "running")
    assert ("Interrupted after 3 of 40" in page.text) == (status == "interrupted")
    assert len(page.all("img")) == 3, "one of the result and two of the viewer"


def test_every_control_has_a_name() -> None:
    page = read_page(build_review_page(replace(PAGE, status="running")))
    names = [tag for tag, attributes in page.tags if tag in ("select", "textarea", "progress")]
    assert sorted(names) == ["progress", "select", "select", "textarea"]
    ids = {attributes.get("id") for _, attributes in page.tags}
    for _, attributes in page.tags:
        if "aria-labelledby" in attributes:
            assert attributes["aria-labelledby"] in ids
    assert all(dialog.get("aria-labelledby") for dialog in page.all("dialog"))
    assert all("alt" in image for image in page.all("img"))


def test_ids_of_the_script_are_on_the_page() -> None:
    import re

    ids = {
        a.get("id") for _, a in read_page(build_review_page(replace(PAGE, status="running"))).tags
    }
    wanted = set(re.findall(r"byId\('([\w-]+)'\)", REVIEW_SCRIPT))
    assert wanted <= ids, wanted - ids


def test_estimates_are_sorted_by_only_where_there_are_some() -> None:
    with_them, without = (build_review_page(replace(PAGE, expects=e)) for e in (True, False))
    assert 'value="expected"' in with_them and 'value="check"' in with_them
    assert 'value="expected"' not in without and 'value="check"' not in without


def test_a_run_without_results_has_a_page() -> None:
    empty = replace(PAGE, cards=[], status="running", done=0, total=9, settings={}, files={})
    assert "There is no result yet." in read_page(build_review_page(empty)).text
