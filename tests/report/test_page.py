"""Pages: whole, without a network, escaped; outlines where the masks are."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.report import (
    SCRIPT,
    Markup,
    Picture,
    distributions,
    document,
    element,
    gallery,
    interval,
    pairs,
    section,
    switches,
    table,
    tiles,
)
from s3net_jax.report.pictures import data_uri, outline_path, shrunk
from tests.report.reading import read_page

EVIL = '<script>alert("&\'")</script>'


def picture(name: str, score: float, shape: tuple[int, int] = (60, 80)) -> Picture:
    mask = np.zeros(shape, bool)
    mask[10:30, 20:50] = True
    return Picture(
        name,
        lambda: np.full((*shape, 3), 90, np.uint8),
        lambda: mask,
        lambda: np.roll(mask, 3, 1),
        {"blind": score, "oracle": 99.0},
    )


def test_text_is_escaped_and_markup_is_not() -> None:
    assert element("td", EVIL, title=EVIL).count("<") == 2
    assert element("td", Markup("<b>x</b>"), class_="a", hidden=True, id=None) == (
        '<td class="a" hidden><b>x</b></td>'
    )


def test_every_part_escapes_what_it_is_given() -> None:
    parts = [
        section(EVIL, about=EVIL),
        tiles({EVIL: (EVIL, EVIL)}),
        table([EVIL, "b"], [[EVIL, EVIL]], ours=[0], caption=EVIL),
        pairs({EVIL: EVIL, "section": {EVIL: [1, True]}}),
        distributions({EVIL: [3.0]}, unit=EVIL),
        switches(),
        gallery([picture(EVIL, 5)]),
    ]
    page = read_page(document(EVIL, parts, script=SCRIPT))
    assert len(page.all("script")) == 1 and page.text.count(EVIL) >= 14


def test_the_gallery_is_sorted_and_says_what_it_is_sorted_by() -> None:
    page = read_page(document("x", [gallery([picture("a", 5), picture("b", 50)])]))
    figures = page.all("figure")
    assert [figure["data-name"] for figure in figures] == ["b", "a"]
    assert figures[0]["data-blind"] == "50.000" and figures[0]["data-oracle"] == "99.000"
    assert all("outlines" in (img["alt"] or "") for img in page.all("img"))
    assert "no picture" in gallery([])


def test_thumbnails_shrink_where_there_are_many() -> None:
    few, many = (gallery([picture(str(n), n) for n in range(count)]) for count in (3, 800))
    widths = [int(re.findall(r'width="(\d+)"', text)[0]) for text in (few, many)]
    assert widths == [320, 160]


@pytest.mark.parametrize("shape", [(50, 50), (300, 400), (9, 200)])
def test_the_outline_lies_where_the_mask_ends(shape: tuple[int, int]) -> None:
    mask = np.zeros(shape, bool)
    mask[: shape[0] // 2, shape[1] // 4 : shape[1] // 2] = True
    path, width, height = outline_path(mask)
    points, place = [], np.zeros(2)
    for letter, numbers in re.findall(r"([Ml])([-\d ]+)", path):
        for x, y in np.array(numbers.split(), int).reshape(-1, 2):
            place = np.array([x, y]) if letter == "M" else place + np.array([x, y])
            points.append(place)
    low, high = np.min(points, 0), np.max(points, 0)
    assert low == pytest.approx([width / 4, 0], abs=10)
    assert high == pytest.approx([width / 2, height / 2], abs=10)


def test_outlines_of_nothing_and_of_everything() -> None:
    assert outline_path(np.zeros((8, 8), bool))[0] == ""
    assert outline_path(np.ones((8, 8), bool))[0].startswith("M")


def test_distributions_stay_on_their_axis() -> None:
    text = distributions({"a": [-5.0, 50, 120], "b": [7.0]}, ours=["a"])
    places = [float(x) for x in re.findall(r'cx="([\d.]+)%"', text)]
    assert places == [0, 50, 100, 7] and "median 50.0, from -5.0 to 120.0" in text
    read_page(document("x", [text]))


def test_intervals() -> None:
    found = {"mean": 1.26, "low": -0.5, "high": 2}
    assert interval(found) == "1.3 <small>(-0.5–2.0)</small>"
    assert interval(found, 2, sign=True) == "+1.26 <small>(-0.50 to +2.00)</small>"


def test_pictures_keep_their_proportions() -> None:
    small = shrunk(np.zeros((300, 600, 3), np.uint8), 100)
    assert small.size == (100, 50)
    assert data_uri(small).startswith("data:image/jpeg;base64,")
    assert data_uri(PilImage.new("P", (3, 3)), "PNG").startswith("data:image/png;base64,")
