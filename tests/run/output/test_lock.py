"""Test that only one run at a time, with all its processes, can use a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from s3net_jax.io import OutputError
from s3net_jax.run.output.lock import hold_folder

ME, OTHER = ["configuration", 0, 1, 1], ["configuration", 1, 1, 1]
HOLDER = """
import sys, fcntl
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    # Locks of two handles exclude each other, even in one process.
    with hold_folder(tmp_path, 0, ME):
        for other in (ME, OTHER):
            with (
                pytest.raises(OutputError, match="Another run is writing into"),
                hold_folder(tmp_path, 0, other),
            ):
                pass
    assert not list(tmp_path.iterdir())
    with hold_folder(tmp_path, 0, ME):
        pass


def test_processes_of_one_run_share_it(tmp_path: Path) -> None:
    with hold_folder(tmp_path, 0, ME), hold_folder(tmp_path, 1, ME):
        with pytest.raises(OutputError), hold_folder(tmp_path, 2, OTHER):
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
        with pytest.raises(OutputError), hold_folder(tmp_path, 0, ME):
            pass
        holder.kill()
    with hold_folder(tmp_path, 1, ME):
        pass
    assert not list(tmp_path.iterdir())
