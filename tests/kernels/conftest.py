"""The operators' tests are the same few checks of many calls: every twelfth call is quick."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

# So that the quick tests of all packages stay below four minutes on two cores.
_EVERY = 12


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all calls of a test but every twelfth as slow; the first one of each test is quick."""
    here, seen = Path(__file__).parent, Counter[str]()
    for item in items:
        if here in item.path.parents:
            test = item.nodeid.partition("[")[0]
            if seen[test] % _EVERY:
                item.add_marker(pytest.mark.slow)
            seen[test] += 1
