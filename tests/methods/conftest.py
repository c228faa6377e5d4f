"""Methods pass the same kinds of checks: those of SGSCN and its relatives are quick."""

from __future__ import annotations

from pathlib import Path

import pytest

# So that the quick tests of all packages stay below four minutes on two cores.
_SLOW = ("test_deepcluster_fits", "test_iic", "test_ms_former")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the other methods as slow."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and item.path.name.startswith(_SLOW):
            item.add_marker(pytest.mark.slow)
