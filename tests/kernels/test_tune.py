"""The tuner, in interpret mode: what it measures is not a GPU's, how it does so is."""

from __future__ import annotations

import dataclasses
import json

import jax
import numpy as np
import pytest

from s3net_kernels import config
from s3net_kernels._pallas import round_to_power, tuning
from s3net_kernels.tune import KERNELS, list_problems, search
from s3net_kernels.tune.__main__ import main
from tests.kernels import base

pytestmark = pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
SMALL = ["--size", "10", "--channels", "16", "--images", "2", "--dtype", "float32", "--interpret"]
PROBLEMS = list_problems(10, 16, (2,), ("float32",))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
def test_block_sizes_do_not_change_the_result(kernel):
    problem = next(p for p in PROBLEMS if p.kernel == kernel)
    found = KERNELS[kernel]
    blocks = found.heuristic(problem)
    other = next(c for c in found.candidates(problem) if c != blocks)
    with config(interpret=True):
        arrays = found.arguments(problem)
        results = [
            jax.tree.leaves(jax.jit(found.call(problem, b))(*arrays)) for b in (blocks, other)
        ]
    for a, b in zip(*results, strict=True):
        assert base.relative_error(a, b) < base.tolerance("float32", 10 * 10 * 9 * 16)


def test_every_problem_has_candidates():
    for problem in list_problems(256, 64, (1, 64), ("float32", "bfloat16")):
        kernel = KERNELS[problem.kernel]
        candidates = kernel.candidates(problem)
        assert len(candidates) > 4
        assert all(set(c) == set(kernel.heuristic(problem)) for c in candidates)
        assert all(
            v == round_to_power(v) for c in candidates for n, v in c.items() if n != "num_stages"
        )


@pytest.mark.slow
def test_writes_a_table_and_resumes(tmp_path, capsys):
    command = [*SMALL, "--folder", str(tmp_path), "--most", "2", "--kernel"]
    assert main([*command, "bilinear_sample.forward"]) == 0
    path = tuning.locate_table("interpret", tmp_path)
    first = json.loads(path.read_text())
    assert len(first["entries"]) == 1
    assert main([*command, "bilinear_sample.forward", "bilinear_sample.gather_sum"]) == 0
    second = json.loads(path.read_text())
    assert "1 of 2 problems to measure" in capsys.readouterr().out
    assert len(second["entries"]) == 2
    assert first["entries"].items() <= second["entries"].items()
    entry = next(iter(second["entries"].values()))
    assert entry["tried"] == 2 and entry["microseconds"] <= entry["heuristic_microseconds"]


def test_short_kernels_are_timed_on_the_device(monkeypatch):
    monkeypatch.setattr(search, "_is_on_gpu", lambda: True)
    array = np.ones((200, 200), np.float32)
    function = jax.jit(lambda a: a @ a)
    monkeypatch.setattr(search, "_SHORT", np.inf)
    monkeypatch.setattr(search, "_time_on_device", lambda *_: 3.0)
    assert search.measure_seconds({}, function, (array,), np.inf) == 3
    monkeypatch.undo()
    assert 0 <= search._time_on_device(function, (array,), 2) < 1


def test_a_far_problem_is_another():
    problem = next(p for p in list_problems(256, 64, (1,), ("float32",)) if "linear" in p.kernel)
    of_images = {n: dataclasses.replace(problem, images=n).key for n in (8, 64)}
    assert tuning.find_nearest(problem, {of_images[8]: {"pixels": 8}}) == {"pixels": 8}
    assert tuning.find_nearest(problem, {of_images[64]: {"pixels": 64}}) is None


def test_the_table_is_what_the_kernels_take(tmp_path, monkeypatch):
    command = [*SMALL, "--folder", str(tmp_path), "--most", "1"]
    assert main([*command, "--kernel", "bilinear_sample.forward"]) == 0
    path = tuning.locate_table("interpret", tmp_path)
    table = json.loads(path.read_text())
    for entry in table["entries"].values():
        entry["blocks"]["pixels"] = 512
    path.write_text(json.dumps(table))
    monkeypatch.setenv("S3NET_KERNELS_TUNED", str(tmp_path))
    monkeypatch.setattr(tuning, "find_device", lambda: "interpret")
    tuning.clear_tables()
    problem = next(p for p in PROBLEMS if p.kernel == "bilinear_sample.forward")
    try:
        chosen = tuning.choose(problem, KERNELS[problem.kernel].heuristic)
    finally:
        tuning.clear_tables()
    assert chosen["pixels"] == 512


def test_a_failing_candidate_is_skipped(monkeypatch):
    problem = next(p for p in PROBLEMS if p.kernel == "bilinear_sample.forward")
    kernel = KERNELS[problem.kernel]
    good = kernel.heuristic(problem)

    def call(problem, blocks):
        if blocks != good:
            raise ValueError("too many registers")
        return lambda *arrays: np.float32(0)

    replaced = {
        problem.kernel: type(kernel)(kernel.heuristic, kernel.candidates, kernel.arguments, call)
    }
    monkeypatch.setattr(search, "KERNELS", replaced)
    entry = search.tune(problem, 60, 3)
    assert entry["blocks"] == good and entry["tried"] == 3


@pytest.mark.parametrize("wrong", [1.1, np.nan])
def test_fast_blocks_with_another_result_are_not_chosen(wrong, monkeypatch, capsys):
    problem = next(p for p in PROBLEMS if p.kernel == "bilinear_sample.forward")
    kernel = KERNELS[problem.kernel]
    good = kernel.heuristic(problem)
    replaced = dataclasses.replace(
        kernel, call=lambda _, blocks: lambda *arrays: np.float32(1 if blocks == good else wrong)
    )
    monkeypatch.setattr(search, "KERNELS", {problem.kernel: replaced})
    times = iter(range(9, 0, -1))
    monkeypatch.setattr(search, "measure_seconds", lambda *_: float(next(times)))
    entry = search.tune(problem, 60, 3)
    assert entry["blocks"] == good and entry["microseconds"] == 9e6
    assert capsys.readouterr().out.count("its result differs") == 2


@pytest.mark.parametrize("again", [4.0, 6.0])
def test_the_fastest_and_the_heuristic_are_timed_again_side_by_side(again, monkeypatch):
    problem = next(p for p in PROBLEMS if p.kernel == "bilinear_sample.forward")
    good = KERNELS[problem.kernel].heuristic(problem)
    monkeypatch.setattr(search, "compile_all", lambda _, b, __: [lambda *_: np.float32(0)] * len(b))
    times = iter([9.0, 3.0, 5.0, again])
    monkeypatch.setattr(search, "measure_seconds", lambda *_: next(times))
    entry = search.tune(problem, 60, 2)
    assert (entry["blocks"] == good) == (again < 5)
    assert entry["heuristic_microseconds"] == again * 1e6
    assert entry["microseconds"] == min(again, 5.0) * 1e6


def test_of_integers_the_share_that_differs_counts():
    problem = next(p for p in PROBLEMS if p.kernel == "bilinear_sample.forward")
    labels = np.zeros(10**6, np.int32)
    few, many = labels.copy(), labels.copy()
    few[0], many[:1000] = 7, 7
    assert not search.differs(few, labels, problem) and search.differs(many, labels, problem)


def test_without_a_gpu(monkeypatch, capsys):
    monkeypatch.setattr(tuning, "find_device", lambda: None)
    assert main([]) == 1
    assert "No GPU found" in capsys.readouterr().err


def test_what_a_table_lacks_those_of_devices_alike_give(tmp_path, monkeypatch):
    problem = next(p for p in PROBLEMS if p.kernel == "bilinear_sample.forward")
    other, third = (dataclasses.replace(problem, channels=c) for c in (64, 256))

    def write(device, capability, entries):
        content = {key: {"blocks": {"pixels": value}} for key, value in entries.items()}
        table = {"device": device, "compute_capability": capability, "entries": content}
        tuning.locate_table(device, tmp_path).write_text(json.dumps(table))

    write("This", "9.0", {problem.key: 1})
    write("Alike", "9.0", {problem.key: 2, other.key: 3})
    write("Another", "8.0", {third.key: 4})
    monkeypatch.setenv("S3NET_KERNELS_TUNED", str(tmp_path))
    monkeypatch.setattr(tuning, "FOLDER", tmp_path)
    monkeypatch.setattr(tuning, "find_device", lambda: "This")
    monkeypatch.setattr(tuning, "find_capability", lambda: "9.0")
    tuning.clear_tables()
    try:
        assert tuning.look_up(problem) == {"pixels": 1}
        assert tuning.look_up(other) == {"pixels": 3}
        assert tuning.look_up(third) is None
        assert tuning.list_measured(dataclasses.replace(other, images=10**6)) == [{"pixels": 3}]
    finally:
        tuning.clear_tables()


def test_blocks_in_use_and_of_other_sizes_are_tried_first(monkeypatch):
    problem = next(p for p in PROBLEMS if p.kernel == "bilinear_sample.forward")
    kernel = KERNELS[problem.kernel]
    heuristic = kernel.heuristic(problem)
    alike, used = [c for c in kernel.candidates(problem) if c != heuristic][-2:]
    monkeypatch.setattr(tuning, "look_up", lambda _: used)
    monkeypatch.setattr(tuning, "list_measured", lambda _: [alike])
    tried = []

    def compile_candidates(_problem, several, _arrays):
        tried.extend(several)
        return [lambda *_: np.float32(0)] * len(several)

    monkeypatch.setattr(search, "compile_all", compile_candidates)
    monkeypatch.setattr(search, "measure_seconds", lambda *_: 1.0)
    search.tune(problem, 60, 3)
    assert tried == [heuristic, used, alike]
