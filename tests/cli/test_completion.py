"""Completion scripts of shells."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.calling import s3net

pytestmark = pytest.mark.usefixtures("place")


def test_completion_without_its_extra_is_a_sentence(capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    code, out, err = s3net(capsys, "--print-completion", "bash")
    assert (code, out) == (2, "")
    assert err == "s3net: --print-completion needs shtab: pip install 's3net-jax[completion]'.\n"


def test_completion_of_bash(capsys, tmp_path: Path) -> None:
    pytest.importorskip("shtab")
    code, script, err = s3net(capsys, "--print-completion", "bash")
    assert code == 0 and not err
    Path("complete.sh").write_text(script)
    Path("folder").mkdir()
    Path("file").touch()
    for line, expected in (
        ("s3net seg", ["segment"]),
        ("s3net segment --overw", ["--overwrite"]),
        ("s3net segment --preset paper", ["paper", "paper-lung"]),
        ("s3net segment -o f", ["folder"]),
        ("s3net segment f", ["file", "folder"]),
    ):
        words = f"COMP_WORDS=({line}); COMP_CWORD={line.count(' ')}"
        code = f'. ./complete.sh; {words}; _shtab_s3net; printf "%s\\n" "${{COMPREPLY[@]}}"'
        found = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        assert sorted(found.stdout.split()) == expected, line
