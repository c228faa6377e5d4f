"""What records say of the code that made them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from s3net_jax import provenance


def make_commit(folder: Path, message: str = "x") -> str:
    """Make a repository with one commit; return its name."""

    def git(*words: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
        command = ["git", "-C", str(folder), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    folder.mkdir(exist_ok=True)
    git("init")
    git("commit", "--allow-empty", "--message", message)
    return git("rev-parse", "HEAD")


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder that holds the package, for this test."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):  # where a hook runs the tests
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(provenance, "_CHECKOUT", tmp_path / "checkout")
    return tmp_path / "checkout"


def find_commit() -> str | None:
    return provenance.find_commit.__wrapped__()  # without the cache


def test_the_commit_of_a_checkout(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = make_commit(checkout)
    (checkout / "pyproject.toml").write_text('[project]\nname = "s3net-jax"\n')
    assert find_commit() == commit
    other = make_commit(tmp_path / "other", "y")
    monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other/.git"))
    assert find_commit() == commit != other, "never that of the working folder"
    monkeypatch.setenv("PATH", "")
    assert find_commit() is None


def test_no_commit_of_somebody_elses_repository(checkout: Path, tmp_path: Path) -> None:
    make_commit(tmp_path)  # the package is installed below a user's repository
    checkout.mkdir()
    (checkout / "pyproject.toml").write_text('name = "s3net-jax"\n')
    assert find_commit() is None
    make_commit(checkout)
    assert find_commit() is not None
    (checkout / "pyproject.toml").write_text('name = "foreign"\n')
    assert find_commit() is None
