"""Fits of every method pass the same checks: those of SGSCN and its relatives are quick."""

from __future__ import annotations

from pathlib import Path

import pytest

# So that the quick tests of all packages stay below four minutes on two cores.
_SLOW = ("test_deepcluster_fits.py", "test_iic.py", "test_ms_former_method.py")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the fits of the other methods as slow."""
    here = Path(__file__).parent
    for item in items:
        if item.path.parent == here and item.path.name in _SLOW:
            item.add_marker(pytest.mark.slow)
