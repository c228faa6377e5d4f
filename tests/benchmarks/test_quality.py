"""The page on quality, and the README's table, say what the summaries say."""

from __future__ import annotations

import pytest

from benchmarks import quality
from benchmarks.marked import replaced


def test_the_pages_are_what_the_summaries_say() -> None:
    for path, make in ((quality.PAGE, quality.page), (quality.README, quality.readme)):
        text = path.read_text()
        assert make(text) == text and "classical recipe" in text
    assert quality.main(["--check"]) == 0


def test_a_page_without_the_part_is_refused() -> None:
    text = "a\n<!-- x: start -->\nold\n<!-- x: end -->\nb\n"
    assert replaced(text, "x", "new\n") == text.replace("old\n", "\nnew\n\n")
    with pytest.raises(ValueError, match="no part 'y'"):
        replaced(text, "y", "new\n")
