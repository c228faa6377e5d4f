"""A point of scaling and its process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import HANG, wait_until

RUN = """
import sys
from benchmarks.suites import scaling
sys.executable = {!r}
scaling._measure_in_process({{}}, 99)
"""


def _runs(pid: int) -> bool:
    """Whether it is there, and no mere entry that waits for its parent."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux's process list")
def test_a_signal_ends_the_point_s_processes_too(tmp_path):
    script, said = tmp_path / "python", tmp_path / "said"
    script.write_text(
        f"#!/bin/sh\nsleep 999 &\necho $$ $! >{said}.new\nmv {said}.new {said}\nwait\n"
    )
    script.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", RUN.format(str(script))]) as process:
        assert wait_until(lambda: said.exists() or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG) == 128 + signal.SIGTERM
    pids = [int(word) for word in said.read_text().split()]
    assert len(pids) == 2 and wait_until(lambda: not any(map(_runs, pids)))
