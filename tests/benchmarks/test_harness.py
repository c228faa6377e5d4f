"""Interleaving, quartiles and ratios of the benchmark harness."""

from __future__ import annotations

import pytest

from s3net_kernels.testing import interleave, make_timer, ratio, summarise, take_turns


def test_candidates_take_turns_after_warming_up():
    calls = []
    seconds = interleave({n: lambda n=n: calls.append(n) for n in "ab"}, repeats=3, warm=2)
    assert "".join(calls) == "aabb" + "ab" * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize(("limit_s", "rounds"), [(0.0, 3), (0.04, 3), (60.0, 5)])
def test_slow_candidates_are_repeated_less_often(monkeypatch, limit_s, rounds):
    taken = []  # a clock that only the candidates move on
    monkeypatch.setattr("time.perf_counter", lambda: sum(taken))
    seconds = interleave(
        {"slow": lambda: taken.append(0.02), "fast": lambda: taken.append(0.001)},
        repeats=5,
        limit_s=limit_s,
    )
    assert len(seconds["slow"]) == rounds
    assert len(seconds["fast"]) == (5 if limit_s else 3)


def test_summaries_and_ratios():
    summary = summarise([3.0, 1.0, 2.0, 4.0, 5.0])
    assert (summary["q1_s"], summary["median_s"], summary["q3_s"]) == (2, 3, 4)
    assert summary["min_s"] == 1
    assert summarise([2.0])["q1_s"] == 2
    assert ratio([2.0, 9.0, 8.0], [1.0, 3.0, 2.0]) == pytest.approx(
        {"median": 3, "q1": 2.5, "q3": 3.5}
    )
    assert ratio([2.0], [1.0, 3.0])["median"] == 2


def test_one_that_fails_leaves_the_turns_and_says_why():
    answers = iter([1.0, 2.0])
    left_out = {}
    candidates = {"dies": lambda: next(answers), "lives": lambda: 1.0}
    found = take_turns(candidates, repeats=3, warm=0, left_out=left_out)
    assert found == {"lives": [1.0] * 3} and left_out == {"dies": "StopIteration"}
    with pytest.raises(StopIteration):
        take_turns(candidates, repeats=1)


@pytest.mark.parametrize(
    ("gpu", "seconds", "row"), [(False, 0.0005, 1), (True, 0.0005, 20), (True, 0.005, 4)]
)
def test_short_calls_are_timed_in_a_row_on_a_gpu(monkeypatch, gpu, seconds, row):
    platform = "gpu" if gpu else "cpu"
    monkeypatch.setattr("s3net_kernels.testing.timing.find_platform", lambda: platform)
    launched, waited = [], []
    # A clock of its own: on a busy machine a short call may take long.
    monkeypatch.setattr("time.perf_counter", lambda: seconds * len(launched))

    def launch() -> int:
        launched.append(len(launched))
        return launched[-1]

    call = make_timer(launch, waited.append)
    assert call() == pytest.approx(seconds) and waited[-1] == launched[-1]
    before = len(launched)
    assert before == row + 2 * gpu
    call()
    assert len(launched) == before + row
