"""The page on quality says what the summaries say."""

from __future__ import annotations

from benchmarks.quality import PAGE, filled, main


def test_the_page_is_what_the_summaries_say() -> None:
    text = PAGE.read_text()
    assert filled(text) == text and main(["--check"]) == 0
    assert "classical recipe" in text
