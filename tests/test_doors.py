"""Packages import one another through their doors, and imports run downwards only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import s3net_jax

ROOT = Path(s3net_jax.__file__).parent
FLOORS = (
    ("cli",),
    ("experiments",),
    ("evaluate",),
    ("run",),
    ("baselines", "report", "fitting"),
    ("masks",),
    ("io",),
)
"""Packages from the top down; those of one floor do not import one another."""
DOORS = {
    *(f"s3net_jax.{name}" for floor in FLOORS for name in floor),
    "s3net_jax.run.engines",
}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def other_rooms(name: str) -> Iterator[tuple[Path, str]]:
    """File of package ``name`` and what it imports from other packages with a door."""
    rooms = {room for floor in FLOORS for room in floor}
    for path in (ROOT / name).rglob("*.py"):
        for module in imports(path):
            top, _, rest = module.partition(".")
            if top == "s3net_jax" and rest.partition(".")[0] in rooms - {name}:
                yield path, module


@pytest.mark.parametrize("name", [name for floor in FLOORS for name in floor])
def test_packages_are_entered_through_their_doors(name: str) -> None:
    passed = {f"{path.relative_to(ROOT)}: {m}" for path, m in other_rooms(name) if m not in DOORS}
    assert not passed


def test_imports_run_downwards() -> None:
    floor_of = {name: n for n, floor in enumerate(FLOORS) for name in floor}
    upward = {
        f"{path.relative_to(ROOT)}: {module}"
        for name in floor_of
        for path, module in other_rooms(name)
        if floor_of[module.split(".")[1]] <= floor_of[name]
    }
    assert not upward


def test_doors_are_complete() -> None:
    """Every name that a door exports is there, also those that are imported when first used."""
    for door in DOORS:
        module = __import__(door, fromlist=["__all__"])
        assert all(hasattr(module, name) for name in module.__all__), door
