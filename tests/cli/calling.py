"""Call the command in this process."""

from __future__ import annotations

import pytest

from s3net_jax import cli

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3", "--out", "out"]


def s3net(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(list(arguments))
    captured = capsys.readouterr()
    return code, captured.out, captured.err
