"""Cards of the review page: bounded in size, escaped, and found again on an earlier page."""

from __future__ import annotations

import base64
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.report import Card, Pixels, Sizes, build_card, find_cards
from s3net_jax.report.cards import wrap_card
from tests.report.reading import read_page

EVIL = '=<script>alert("&\'")</script>\n\u202e.png'
CARD = Card("a", "key", "a.overlay.png", [1], [0.7, 0.3], 0.3, 0.81, "", ["target 30 %"], [])


def make_pixels(labels: np.ndarray) -> Pixels:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*labels.shape, 3)).astype(np.uint8)
    return Pixels(PilImage.fromarray(picture), labels == 1, labels)


def test_a_card_holds_its_label_map() -> None:
    labels = np.zeros((60, 90), int)
    labels[10:30, 20:50] = 1
    card = build_card(CARD, make_pixels(labels), Sizes())
    figure = read_page(card).all("figure")[0]
    assert (figure["data-target"], figure["data-shares"]) == ("1", "0.7,0.3")
    assert (figure["data-grid"], figure["data-expected"]) == ("90x60", "0.8100")
    packed = base64.b64decode(figure["data-labels"] or "")
    found = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(60, 90)
    np.testing.assert_array_equal(found, labels)
    many = build_card(replace(CARD, shares=[0.1] * 300), make_pixels(labels * 299), Sizes())
    packed = base64.b64decode(read_page(many).all("figure")[0]["data-labels"] or "")
    assert np.frombuffer(zlib.decompress(packed), "<u2").max() == 299


def test_a_card_escapes_names_and_makes_its_cell_safe() -> None:
    labels = np.eye(40, dtype=int)
    evil = replace(CARD, name=EVIL, overlay=EVIL, check=EVIL, facts=[EVIL], notes=[EVIL])
    card = build_card(evil, make_pixels(labels), Sizes())
    page = read_page(card)
    assert not page.all("script") and "\n" not in card and "\u202e" not in card
    assert page.all("figure")[0]["data-cell"] == "'" + EVIL.replace("\n", "\\n").replace(
        "\u202e", "\\u202e"
    )
    href = page.all("a")[0]["href"] or ""
    assert re.fullmatch(r"[\w.%~-]+", href), "a name is never an address or a folder"


def test_without_pixels_or_clusters_there_is_nothing_to_pick() -> None:
    bare = build_card(CARD, None, Sizes())
    assert "No picture" in bare and "data-labels" not in bare
    single = build_card(replace(CARD, shares=[1.0]), make_pixels(np.zeros((30, 30), int)), Sizes())
    assert "<img" in single and "data-labels" not in single


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 200, 1000, 2000])
def test_the_worst_cards_fit_on_a_page(count: int) -> None:
    """Noise in picture, mask and labels: 200 such results have less than 15 MB."""
    sizes = Sizes.choose(count)
    labels = np.random.default_rng(0).integers(0, 64, (700, 900))
    noise = replace(make_pixels(labels), mask=labels % 2 == 0)
    card = build_card(replace(CARD, shares=[1 / 64] * 64), noise, sizes)
    assert count * len(card) < (15e6 if count <= 200 else 25e6)
    wide = build_card(CARD, make_pixels(np.eye(20, 4000, dtype=int)), sizes)
    assert len(wide) < len(card)


def test_cards_are_found_on_an_earlier_page() -> None:
    cards = {f"k{n}": build_card(replace(CARD, name=f"n{n}"), None, Sizes()) for n in range(3)}
    page = "<html>\n" + "".join(wrap_card(key, card) for key, card in cards.items()) + "</html>"
    assert find_cards(page) == cards
    assert list(find_cards(page.replace("n1", "nx"))) == ["k0", "k2"], "a changed card is drawn"
    assert find_cards(page[: len(page) // 2]).keys() <= cards.keys()
    assert find_cards("") == {}
