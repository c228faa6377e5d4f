"""The options that limit what a file may unpack to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3net_jax import cli
from s3net_jax.io import get_limits
from s3net_jax.io.limits import Limits
from tests.fakes import install_fit
from tests.pictures import save_lesion

SMALL = ["--preset", "fast", "--size", "32", "--set", "fit.steps=3", "--quiet"]


def segment(folder: Path, out: str, *options: str) -> int:
    return cli.main(
        ["segment", str(folder / "a.png"), "--out", str(folder / out), *SMALL, *options]
    )


def test_limits_of_the_command(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png")  # 64×48
    assert segment(tmp_path, "one", "--max-pixels", "3071") == 1
    assert "above the limit of 3,071 pixels" in capsys.readouterr().err
    assert segment(tmp_path, "two", "--max-bytes", "1k") == 1
    assert "--max-bytes" in capsys.readouterr().err
    assert segment(tmp_path, "three", "--max-pixels", "3072", "--max-pages", "1") == 0
    assert segment(tmp_path, "four", "--max-pixels", "4G") == 0
    assert get_limits() == Limits(), "limits end with the command"
    digests = {
        json.loads((tmp_path / out / "run.json").read_text())["config_digest"]
        for out in ("three", "four")
    }
    assert len(digests) == 1, "limits are no part of the configuration"


@pytest.mark.parametrize("text", ["0", "many", "-5", "1.5"])
def test_limits_that_are_none(capsys, tmp_path: Path, text: str) -> None:
    save_lesion(tmp_path / "a.png")
    assert segment(tmp_path, "out", f"--max-pixels={text}") == 2
    err = capsys.readouterr().err
    assert "--max-pixels must be a whole number of at least 1" in err and repr(text) in err


def test_help_names_the_limits(capsys) -> None:
    for command in ("segment", "evaluate", "ablate", "compare", "tune"):
        assert cli.main([command, "--help"]) == 0
        text = capsys.readouterr().out
        assert all(option in text for option in ("--max-pixels", "--max-bytes", "--max-pages"))
