"""A folder belongs to one run at a time, or to the processes of one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from s3net_jax.io import OutputError
from s3net_jax.run.alone import alone
from s3net_jax.run.plan import Identity
from s3net_jax.run.share import ALONE, Share

ME = Identity("configuration", 0)
HOLDER = """
import sys, fcntl
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    # Handles of one process are as strange to each other as those of two.
    with alone(tmp_path, ME, ALONE):
        for other in (ME, replace(ME, seed=1)):
            with (
                pytest.raises(OutputError, match="Another run writes into"),
                alone(tmp_path, other, ALONE),
            ):
                pass
    assert not list(tmp_path.iterdir())
    with alone(tmp_path, ME, ALONE):
        pass


def test_processes_of_one_run_share_it(tmp_path: Path) -> None:
    with alone(tmp_path, ME, Share(0, 2)), alone(tmp_path, ME, Share(1, 2)):
        with pytest.raises(OutputError), alone(tmp_path, replace(ME, config="x"), Share(2, 2)):
            pass
        assert len(list(tmp_path.iterdir())) == 2
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_held_is_free(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / ".running-0")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(OutputError), alone(tmp_path, ME, ALONE):
            pass
        holder.kill()
    with alone(tmp_path, ME, Share(1, 2)):
        pass
    assert not list(tmp_path.iterdir())
