"""Clicks are simulated by the stated rule."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.marks.candidates import CANDIDATES
from benchmarks.marks.clicks import CLICKS, Sample, place_click, score_clicks


def test_a_click_is_in_the_middle_of_the_largest_error() -> None:
    truth = np.zeros((20, 30), bool)
    truth[4:15, 3:14] = True
    mask = np.zeros_like(truth)
    mask[2:5, 20:25] = True  # 15 wrong pixels against 121 missing ones
    assert place_click(mask, truth) == (9, 8)
    assert place_click(truth | mask, truth) == (3, 21)
    assert place_click(truth, truth) is None
    border = np.zeros_like(truth)
    border[:, :5] = True
    assert place_click(border, np.zeros_like(truth)) == (2, 2), "the image border counts"


def make_sample() -> Sample:
    truth = np.zeros((40, 50), bool)
    truth[10:30, 12:36] = True
    image = np.where(truth[..., None], (90, 40, 40), (200, 180, 170)).astype(np.uint8)
    return Sample(image, np.zeros(truth.shape, np.int32), np.zeros_like(truth), truth)


def test_scores_follow_the_clicks() -> None:
    sample = make_sample()
    counts: list[int] = []

    def reveal(_: Sample, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
        counts.append(int((inside | outside).sum()))
        assert sample.truth[inside].all() and not sample.truth[outside].any()
        return sample.truth if len(counts) == 3 else inside

    scores = score_clicks(sample, reveal)
    assert len(scores) == CLICKS + 1 and scores[0] == 0 and scores[3:] == [100] * 3
    assert counts == [1, 2, 3], "an exact mask gets no click"


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_finds_a_square(name: str) -> None:
    assert score_clicks(make_sample(), CANDIDATES[name])[CLICKS] > 80
