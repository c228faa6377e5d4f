"""Fixtures of the command's tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes import install_fit


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A fast fit, an empty working folder, and no traces in the environment."""
    install_fit(monkeypatch)
    monkeypatch.chdir(tmp_path)
    for name in ("TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
