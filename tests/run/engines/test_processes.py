"""Test that ``--engine processes`` gives the same results even if processes die."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from s3net_jax.cli import main
from s3net_jax.config import ConfigError
from s3net_jax.presets import preset
from s3net_jax.run import memory
from s3net_jax.run.engines import processes
from s3net_jax.run.engines.interpreter import find_interpreter
from s3net_jax.run.engines.pool import LostWorkerError
from s3net_jax.run.engines.processes import ProcessEngine
from tests.processes import HANG, wait_until
from tests.run.commands import TINY, environment, save_pictures, start

RESULTS = Path(__file__).parents[3] / "benchmarks/results"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are looked for in /proc"
)


def children(parent: int) -> list[int]:
    """Find the process numbers of the workers of ``parent`` by the code that they run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                of = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if of == parent and b"s3net_jax.run.engines.worker" in line:
                found.append(int(entry.name))
    return sorted(found)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def count_written(folder: Path) -> int:
    log = folder / "out/results.jsonl"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def labels(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "out").glob("*.labels.png")}


def two_workers(folder: Path, count: int) -> tuple[subprocess.Popen[str], list[int]]:
    """Start a run with two workers, the first of them stopped.

    Each gets a picture as soon as it starts, so the run can't end before the test continues it.
    """
    save_pictures(folder / "in", count)
    process = start(folder, "--engine", "processes", "--workers", "2")
    assert wait_until(lambda: process.poll() is not None or len(children(process.pid)) == 2)
    assert process.poll() is None, process.communicate()
    found = children(process.pid)
    os.kill(found[0], signal.SIGSTOP)
    return process, found


@pytest.mark.slow
def test_the_results_of_one_process_though_a_worker_is_killed(
    tmp_path: Path, expected: dict[str, bytes]
) -> None:
    count = 6
    process, workers = two_workers(tmp_path, count)
    os.kill(workers[1], signal.SIGSTOP)  # only a new worker can take the work of the lost one
    os.kill(workers[0], signal.SIGKILL)
    assert wait_until(lambda: process.poll() is not None or count_written(tmp_path) == count - 1)
    os.kill(workers[1], signal.SIGCONT)
    out, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, out + err
    found = labels(tmp_path)
    assert len(found) == count and found == {name: expected[name] for name in found}
    assert "a worker was lost (SIGKILL)" in err and "Traceback" not in err
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert (run["engine"], run["workers"], run["done"], run["failed"]) == ("processes", 2, count, 0)
    assert not any(map(is_alive, workers))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_run(tmp_path: Path, number: signal.Signals) -> None:
    count = 4
    process, workers = two_workers(tmp_path, count)
    # One worker is in the middle of its work, and the other one has finished the rest.
    assert wait_until(lambda: process.poll() is not None or count_written(tmp_path) == count - 1)
    process.send_signal(number)
    process.wait(HANG)
    with contextlib.suppress(ProcessLookupError):
        os.kill(workers[0], signal.SIGCONT)
    _, err = process.communicate(timeout=HANG)  # workers share its standard error
    assert process.returncode != 0 and "Traceback" not in err
    assert wait_until(lambda: not any(map(is_alive, workers)))
    if number == signal.SIGTERM:
        run = json.loads((tmp_path / "out/run.json").read_text())
        assert (run["status"], run["done"]) == ("interrupted", count_written(tmp_path))


def test_processes_as_the_memory_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "count_usable_cores", lambda: 64)
    free = 64 << 30
    monkeypatch.setattr(memory, "free_bytes", lambda device: free)
    config = preset("paper")
    several = memory.count_processes(config, (256, 256), 1)
    assert several == int(0.8 * free / memory.estimate_process_bytes(config, (256, 256), 1))
    assert memory.count_processes(config, (256, 256), 4) < several
    assert several < memory.count_processes(preset("fast"), (256, 256), 1) <= 64
    free = 1 << 20
    assert memory.count_processes(config, (256, 256), 1) == 1
    free = float("inf")
    assert memory.count_processes(config, (256, 256), 1) == 64


def test_no_measured_fit_needs_more_memory_than_the_estimate() -> None:
    """Peaks of our fits and steps on CPUs, compiled or not, with freed memory kept or not."""
    found = 0
    for path in RESULTS.glob("*-256-64-avx*.json"):
        for name, candidates in json.loads(path.read_text())["presets"].items():
            for candidate, measured in candidates.items():
                if not candidate.startswith("s3net-jax") or "peak_mib" not in measured:
                    continue
                at_once = re.search(r"(\d+) at once", candidate)
                each = int(at_once[1]) if at_once else 1
                needed = memory.estimate_process_bytes(preset(name), (256, 256), each)
                assert measured["peak_mib"] <= needed / 2**20, (path.name, name, candidate)
                found += 1
    assert found > 20


def test_no_measured_worker_needs_more_memory_than_the_estimate_of_its_method() -> None:
    """Peaks of workers of each method, which the suite ``memory`` measures."""
    found = set()
    for path in RESULTS.glob("memory-*.json"):
        for name, measured in json.loads(path.read_text())["presets"].items():
            config, side = preset(name), measured["size"]
            assert (config.input.size, config.model.channels) == (side, measured["channels"])
            needed = memory.estimate_process_bytes(config, (side, side), 1)
            assert measured["peak_mib"] <= needed / 2**20, (path.name, name)
            found.add(name)
    assert "ms-former" in found
    # Each of several fits at once needs its own maps.
    one, two = (memory.estimate_process_bytes(preset("ms-former"), (90, 80), n) for n in (1, 2))
    assert 1.8 * one < two < 2 * one


def test_not_where_jax_computes_on_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "get_platform", lambda: "gpu")
    with pytest.raises(ConfigError, match="requires the CPU backend, but JAX is using gpu"):
        ProcessEngine(preset("fast"))


SCRIPT = f"""
import sys, threading
print("the script runs as", __name__)
from s3net_jax.cli import main
words = ["segment", "in", "--out", "out", *{TINY!r}, "--engine", "processes", "--workers", "1"]
codes = []
thread = threading.Thread(target=lambda: codes.append(main(words)))
thread.start(), thread.join()
sys.exit(codes[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("place", ["standard input", "script without a guard"])
def test_workers_need_nothing_of_the_caller(tmp_path: Path, place: str) -> None:
    """Workers run nothing of the main module, which need not exist, even if started in a thread."""
    save_pictures(tmp_path / "in", 1)
    (tmp_path / "queue.py").write_text("1 / 0")  # nothing in the working folder is imported, either
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/script.py").write_text(SCRIPT)
    stdin = place == "standard input"
    found = subprocess.run(
        [sys.executable, *(["-P", "-"] if stdin else ["scripts/script.py"])],
        input=SCRIPT if stdin else "",
        cwd=tmp_path,
        env=environment(S3NET_CACHE="off"),
        capture_output=True,
        text=True,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.count("the script runs") == 1 and "1 done" in found.stdout


def test_the_interpreter_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_interpreter()[0] == sys.executable
    monkeypatch.setattr("multiprocessing.spawn._python_exe", b"/usr/bin/blender")
    assert "python" in Path(find_interpreter()[0]).name, "a program that embeds Python"
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ConfigError, match="but none was found"):
        find_interpreter()
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ConfigError, match="a frozen program has none: drop --engine"):
        find_interpreter()


def test_workers_that_do_not_start_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    save_pictures(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    monkeypatch.setattr(processes, "_SERVE", "sys.exit(3)")
    assert main(["segment", "in", "--out", "out", "--engine", "processes"]) == 2
    words = "s3net: Worker processes can't be started (exit status 3): drop --engine.\n"
    assert capfd.readouterr().err == words


def test_a_worker_that_died_while_it_was_idle_is_noticed() -> None:
    pool = processes._Processes(1, (preset("fast"), None, {}))
    (worker,) = pool.grow()
    worker.process.kill()
    assert wait_until(lambda: worker.dead)
    assert pool.wait([]) == []  # nobody waits for it
    ticket = pool.send(worker, [])
    assert pool.wait([ticket]) == [ticket]
    with pytest.raises(LostWorkerError, match="SIGKILL"):
        pool.receive(ticket)
    pool.close()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--workers", "2"], "--workers requires --engine processes."),
        (["--engine", "processes", "--workers", "none"], "--workers 'none' is not a whole number"),
        (["--engine", "process"], "There is no engine 'process'. Did you mean processes?"),
        (["--engine", "processes", "--ray-address", "a:1"], "--ray-address requires --engine ray."),
    ],
)
def test_mistakes_get_a_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    save_pictures(tmp_path / "in", 1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("S3NET_CACHE", "off")
    assert main(["segment", "in", "--out", "out", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"s3net: {words}")
