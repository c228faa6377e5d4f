"""Provide the results that every engine must reproduce."""

from __future__ import annotations

import pytest

from tests.processes import HANG
from tests.run.commands import save_pictures, start

MOST = 12


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Segment the first pictures of `save_pictures` in one process; label maps by name."""
    folder = tmp_path_factory.mktemp("expected")
    save_pictures(folder / "in", MOST)
    process = start(folder)
    out, err = process.communicate(timeout=HANG)
    assert process.returncode == 0, out + err
    found = {path.name: path.read_bytes() for path in sorted((folder / "out").glob("*.labels.png"))}
    assert len(found) == MOST
    return found
