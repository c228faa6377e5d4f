"""Test that several devices, several processes and a cluster give the results of one process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from s3net_jax.config import ConfigError
from s3net_jax.parallel import count_usable_cores
from s3net_jax.run import Rank, find_rank
from tests.processes import HANG, find_port, wait_until
from tests.run.commands import TINY, environment, save_pictures, start

FOUR_DEVICES = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"

_SHARDED = """
import jax, numpy as np, s3net_jax as s3
assert len(jax.devices()) == 4
blocks = np.random.default_rng(0).random((6, 4, 4, 3))
images = np.kron(blocks, np.ones((1, 6, 6, 1))).astype(np.float32)
keys = jax.random.split(jax.random.key(0), 6)
for preset, steps, stop in (("paper", 2, 0), ("released", 12, 12)):
    config = s3.preset(preset).replace(
        model={"channels": 16, "blocks": 1},
        fit={"steps": steps, "stop_labels": stop, "stop_after": 2, "record_labels": True})
    one = s3.fit_batch(keys, images, config)
    four = s3.fit_batch(keys, images, config, devices=jax.devices())
    shared = s3.fit_batch(keys[:3], images[0], config, devices=jax.devices()[:2])
    np.testing.assert_array_equal(one.steps, four.steps)
    assert stop == 0 or len(set(one.steps.tolist())) > 1
    np.testing.assert_allclose(one.logits, four.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(one.label_maps, four.label_maps)
    np.testing.assert_allclose(one.logits[0], shared.logits[0], rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
                 one.params, four.params)
print("same")
"""


@pytest.mark.slow
def test_four_simulated_devices_give_the_results_of_one(tmp_path: Path) -> None:
    variables = environment(XLA_FLAGS=FOUR_DEVICES)
    done = subprocess.run(
        [sys.executable, "-c", _SHARDED], env=variables, capture_output=True, text=True
    )
    assert done.stdout == "same\n", done.stderr


def results(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "out").glob("*.labels.png")}


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out/results.jsonl").read_text().splitlines()]


def first(expected: dict[str, bytes], count: int) -> dict[str, bytes]:
    """Read the label maps of the first pictures."""
    return {name: expected[name] for name in sorted(expected)[:count]}


@pytest.mark.slow
def test_the_command_uses_all_devices(tmp_path: Path, expected: dict[str, bytes]) -> None:
    save_pictures(tmp_path / "in", 6)
    process = start(tmp_path, "--batch", "6", XLA_FLAGS=FOUR_DEVICES)
    _, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, err
    assert results(tmp_path) == first(expected, 6)


def check_two_share(folder: Path, processes: list[subprocess.Popen[str]]) -> None:
    """Wait for two processes that succeed and write 7 results together, 4 and 3."""
    said = [process.communicate(timeout=HANG) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert len(records(folder)) == 7
    for n, name in enumerate(("run.json", "run-1.json")):
        run = json.loads((folder / "out" / name).read_text())
        assert (run["process"], run["processes"], run["done"]) == (n, 2, 4 - n)


@pytest.mark.slow
def test_two_processes_share_a_folder(tmp_path: Path, expected: dict[str, bytes]) -> None:
    save_pictures(tmp_path / "in", 7)
    processes = [start(tmp_path, JAX_NUM_PROCESSES="2", JAX_PROCESS_ID=str(n)) for n in range(2)]
    check_two_share(tmp_path, processes)
    assert results(tmp_path) == first(expected, 7)


_CONNECTED = """
import sys
import jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from s3net_jax import cli
sys.exit(cli.main(["segment", "in", "--out", "out", *sys.argv[3:]]))
"""


@pytest.mark.slow
def test_two_processes_under_jax_distributed(tmp_path: Path, expected: dict[str, bytes]) -> None:
    save_pictures(tmp_path / "in", 7)
    address = f"localhost:{find_port()}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _CONNECTED, address, str(n), *TINY],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for n in range(2)
    ]
    check_two_share(tmp_path, processes)
    assert results(tmp_path) == first(expected, 7)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch):
    import jax

    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", "JAX_NUM_P", "JAX_PROCESS", "JAX_LOCAL")):
            monkeypatch.delenv(name)
    yield monkeypatch
    jax.config.update("jax_cuda_visible_devices", "all")


SETUPS = {
    "slurm": {
        "SLURM_STEP_NUM_TASKS": "3",
        "SLURM_PROCID": "1",
        "SLURM_LOCALID": "1",
        "SLURM_STEP_TASKS_PER_NODE": "2,1",
    },
    "open mpi": {
        "OMPI_COMM_WORLD_SIZE": "3",
        "OMPI_COMM_WORLD_RANK": "1",
        "OMPI_COMM_WORLD_LOCAL_RANK": "1",
        "OMPI_COMM_WORLD_LOCAL_SIZE": "3",
    },
    "by hand": {"JAX_NUM_PROCESSES": "3", "JAX_PROCESS_ID": "1"},
}


@pytest.mark.parametrize("setup", SETUPS)
def test_set_ups_are_recognised(bare: pytest.MonkeyPatch, setup: str) -> None:
    import jax

    update, seen = jax.config.update, []

    def remember(name: str, value: Any) -> None:
        seen.append((name, value))
        update(name, value)

    bare.setattr(jax.config, "update", remember)
    for name, value in SETUPS[setup].items():
        bare.setenv(name, value)
    rank = find_rank()
    assert rank == Rank(1, 3) and rank.select("abcdefg") == ["b", "e"]
    assert seen == ([] if setup == "by hand" else [("jax_cuda_visible_devices", "1")])


def test_one_process_is_not_distributed(bare: pytest.MonkeyPatch) -> None:
    assert find_rank() == Rank(0, 1)
    bare.setenv("SLURM_NTASKS", "4")  # a batch script, outside srun
    bare.setenv("SLURM_PROCID", "0")
    assert find_rank() == Rank(0, 1)


@pytest.mark.parametrize(
    ("count", "index", "words"),
    [
        ("two", "0", "JAX_NUM_PROCESSES must be a whole number, got 'two'"),
        ("2", "2", r"JAX_PROCESS_ID must be less than JAX_NUM_PROCESSES \(2\), got 2"),
    ],
)
def test_a_set_up_with_a_mistake_gets_a_sentence(
    bare: pytest.MonkeyPatch, count: str, index: str, words: str
) -> None:
    bare.setenv("JAX_NUM_PROCESSES", count)
    bare.setenv("JAX_PROCESS_ID", index)
    with pytest.raises(ConfigError, match=words):
        find_rank()


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Find the process numbers of a run's Ray actors, which are grandchildren of its process.

    Other runs on this machine may have actors, too.
    """
    parents, actors = {}, []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                state = (entry / "stat").read_text().rpartition(")")[2].split()
                title = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            parents[int(entry.name)] = int(state[1])
            if title.startswith(b"ray::_Actor"):
                actors.append(int(entry.name))
    return [actor for actor in actors if parents.get(parents[actor]) == process.pid]


@pytest.mark.slow
def test_a_local_ray_cluster(tmp_path: Path, expected: dict[str, bytes]) -> None:
    """Ray gives the same label maps as one process, even if a worker is killed."""
    pytest.importorskip("ray")
    count, batch = 12, 2
    save_pictures(tmp_path / "in", count)
    process = start(tmp_path, "--engine", "ray", "--batch", str(batch), RAY_ADDRESS="")
    log = tmp_path / "out/results.jsonl"
    assert wait_until(lambda: process.poll() is not None or workers(process) != [])
    assert process.poll() is None, process.communicate()
    victim = workers(process)[0]
    # The stopped worker keeps its batch, so the run can't end before the others do the rest.
    os.kill(victim, signal.SIGSTOP)
    rest = count - batch if count_usable_cores() > 1 else 0
    assert wait_until(
        lambda: (
            process.poll() is not None
            or (len(log.read_bytes().splitlines()) if log.exists() else 0) >= rest
        )
    )
    os.kill(victim, signal.SIGKILL)
    out, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, out + err
    assert results(tmp_path) == first(expected, count)
    assert "a worker was lost" in err and "Traceback" not in err
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert (run["engine"], run["done"], run["failed"]) == ("ray", count, 0)


def test_an_address_where_nobody_listens_gets_a_sentence_at_once() -> None:
    pytest.importorskip("ray")
    from s3net_jax.presets import preset
    from s3net_jax.run.engines.ray import RayEngine

    with socket.socket() as silent:  # nobody else can have the port meanwhile
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"There is no Ray cluster at {address}"):
            RayEngine(preset("fast"), address=address)


@pytest.mark.slow
def test_without_ray_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    save_pictures(tmp_path / "in", 1)
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide/ray.py").write_text("raise ImportError('hidden')\n")
    path = os.pathsep.join([str(tmp_path / "hide"), environment()["PYTHONPATH"]])
    command = [sys.executable, "-m", "s3net_jax", "segment", "in", "--out", "o"]
    done = subprocess.run(
        [*command, "--engine", "ray"],
        cwd=tmp_path,
        env={**environment(), "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "s3net: --engine ray requires Ray: pip install 's3net-jax[ray]'.\n"
