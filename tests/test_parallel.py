"""Work shared out over cores gives what one thread gives."""

from __future__ import annotations

import threading

import pytest

from s3net_jax import parallel
from s3net_jax.parallel import PIXELS_HELD, count_usable_cores, map_in_threads
from tests.processes import HANG


def test_threads_do_what_one_does_and_fewer_of_large_images(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "count_usable_cores", lambda: 3)
    running, most, lock = 0, 0, threading.Lock()

    def double(n: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if n < meeting.parties:  # the first of every thread wait for each other
            meeting.wait(HANG)
        with lock:
            running -= 1
        return 2 * n

    for pixels, threads in ((100, 3), (PIXELS_HELD // 2, 2), (PIXELS_HELD, 1)):
        most, meeting = 0, threading.Barrier(threads)
        assert map_in_threads(double, range(9), pixels) == [2 * n for n in range(9)]
        assert most == threads
    assert map_in_threads(double, [], 100) == []


def test_threads_start_no_more_threads(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "count_usable_cores", lambda: 3)

    def stays(_: int) -> bool:
        here = threading.get_ident()
        return map_in_threads(lambda _: threading.get_ident(), range(6), 1) == [here] * 6

    assert all(map_in_threads(stays, range(3), 1))
    assert not stays(0)  # this thread is none of a pool


def test_an_error_of_a_thread_is_raised(monkeypatch) -> None:
    monkeypatch.setattr(parallel, "count_usable_cores", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda n: 1 // n, [1, 0, 2], 1)


@pytest.mark.parametrize("told, cores_left", [("1", 1), ("999", 5), ("", 5), ("0", 5), ("x", 5)])
def test_a_worker_counts_the_cores_that_xla_is_given(monkeypatch, told, cores_left) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(5)), raising=False)
    monkeypatch.setenv("PJRT_NPROC", told)
    assert count_usable_cores() == cores_left
