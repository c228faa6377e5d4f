"""Candidates in processes of their own."""

from __future__ import annotations

import pytest

from benchmarks.harness.candidates import (
    COMPILED,
    EAGER,
    KEPT,
    LOOP,
    OURS,
    PLAIN,
    STOCK,
    XLA,
    Candidate,
    build,
    list_fit_candidates,
    list_step_candidates,
)
from benchmarks.harness.worker import Worker, end_without_ours, measure
from benchmarks.suites.scaling import measure_each

TINY = {"preset": "released", "size": 16, "channels": 4, "dtype": "float32"}


def test_names_say_what_is_timed():
    steps = list_step_candidates(**TINY)
    assert all(candidate.name == name for name, candidate in steps.items())
    assert {OURS, OURS + KEPT, "stock Flax"} <= set(steps)
    fits = list_fit_candidates(**TINY, steps=2, images=[1, 4])
    assert fits[OURS].images == 1 and fits[f"{OURS}, 4 at once"].images == 4
    assert {fits[OURS + LOOP].suite, fits[OURS + LOOP + KEPT].suite} == {"loop"}
    assert fits[OURS + LOOP + KEPT].name.endswith(KEPT)


@pytest.mark.slow
def test_what_the_worker_can_not_do_is_reported():
    with pytest.raises(RuntimeError, match="none such"):
        Worker(Candidate("step", OURS, **{**TINY, "preset": "none such"}))


@pytest.mark.slow
def test_one_that_can_not_be_built_is_left_out(capsys):
    broken = Candidate("step", STOCK, **{**TINY, "preset": "none such"})
    found, left_out = measure({STOCK: broken}, repeats=1)
    assert found == {} and "none such" in left_out[STOCK]
    assert f"Left out: {STOCK}: " in capsys.readouterr().err


@pytest.mark.slow
def test_one_that_dies_in_its_turn_is_left_out(monkeypatch, capsys):
    call = Worker.call
    calls = []

    def die(self):
        calls.append(self)
        if len(calls) == 4:
            self._process.kill()
        return call(self)

    monkeypatch.setattr(Worker, "call", die)
    step = Candidate("step", OURS, **TINY)
    found, left_out = measure({OURS: step, "another": step}, repeats=2)
    assert set(found) == {OURS} and len(found[OURS].seconds) == 2
    assert left_out == {"another": "killed, most likely out of memory"}


@pytest.mark.slow
def test_a_failing_point_of_scaling_is_skipped():
    broken = Candidate("step", STOCK, **{**TINY, "preset": "none such"})
    fits = {OURS: Candidate("step", OURS, **TINY), STOCK: broken}
    found, left_out = measure_each(fits, 1)
    assert set(found) == {OURS} and len(found[OURS].seconds) == 1
    assert set(left_out) == {STOCK} and "none such" in left_out[STOCK]
    with pytest.raises(RuntimeError, match=r"stock Flax: .*none such"):
        measure_each({STOCK: fits[STOCK]}, 1)


@pytest.mark.parametrize(
    ("left_out", "measured", "code"),
    [
        ({COMPILED: "strides"}, [OURS], None),
        ({OURS: "killed"}, [EAGER], 1),
        ({EAGER: "killed"}, [], 1),
        ({f"{OURS}, 8 at once": "killed"}, [OURS, EAGER], None),
        ({f"{OURS}, 8 at once": "killed"}, [EAGER], 1),
    ],
)
def test_a_run_without_ours_is_a_failure(left_out, measured, code, capsys):
    rows = {"paper": dict.fromkeys(measured)} if measured else {}
    content = {"presets": rows, "left_out": {"paper": left_out}}
    if code is None:
        end_without_ours(content)
        return
    with pytest.raises(SystemExit, match="failed for paper"):
        end_without_ours(content)


@pytest.mark.slow
def test_a_loop_is_so_many_steps():
    run, seconds = build(Candidate("loop", OURS, **TINY, steps=3))
    records = run()
    assert isinstance(records, list) and len(records) == 3 and seconds > 0


@pytest.mark.slow
def test_on_a_gpu_candidates_share_a_process(monkeypatch, capsys):
    monkeypatch.setattr("benchmarks.harness.worker.is_on_gpu", lambda: True)
    broken = Candidate("step", COMPILED, **{**TINY, "preset": "none such"})
    several = {OURS: Candidate("step", OURS, **TINY), COMPILED: broken}
    found, left_out = measure(several, repeats=2)
    assert set(found) == {OURS} and set(left_out) == {COMPILED}
    assert COMPILED in capsys.readouterr().err
    assert len(found[OURS].seconds) == 2
    assert found[OURS].compile_s > 0 and found[OURS].peak_mib > 0


def test_on_a_gpu_plain_xla_does_not_run_many_images(monkeypatch):
    monkeypatch.setattr("benchmarks.harness.candidates.is_on_gpu", lambda: True)
    monkeypatch.setattr("benchmarks.harness.candidates.has_torch", lambda: False)
    fits = list_fit_candidates(**TINY, steps=2, images=[1, 8, 32, 64])
    assert f"{OURS}{XLA}, 8 at once" in fits and f"{OURS}, 64 at once" in fits
    assert not {f"{OURS}{XLA}, {n} at once" for n in (32, 64)} & set(fits)


@pytest.mark.slow
@pytest.mark.parametrize("name", [EAGER, PLAIN])
def test_pytorch_plain_and_tuned_do_a_step(name):
    pytest.importorskip("torch", reason="the comparison needs PyTorch")
    found = measure({name: list_step_candidates(**TINY)[name]}, repeats=2).measured[name]
    assert len(found.seconds) == 2 and min(found.seconds) > 0
