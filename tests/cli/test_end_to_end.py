"""From a file to a mask with the real network, small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax import cli
from tests.pictures import save_lesion


def test_a_lesion_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("S3NET_CACHE", "off")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    truth = save_lesion(tmp_path / "a.png", shape=(64, 72))
    settings = ["--size", "48", "--set", "model.channels=8", "--set", "fit.steps=12"]
    settings += ["--set", "model.deform=none"]  # compiles in a third of the time
    arguments = ["segment", str(tmp_path / "a.png"), "--out", str(tmp_path / "out")]
    code = cli.main([*arguments, "--preset", "fast", *settings])
    assert code == 0, capsys.readouterr().err
    with PilImage.open(tmp_path / "out/a.mask.png") as picture:
        mask = np.asarray(picture) > 0
    assert 2 * np.sum(mask & truth) / (mask.sum() + truth.sum()) > 0.8
