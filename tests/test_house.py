"""The structure that CONTRIBUTING.md describes: imports run downwards, without circles."""

from __future__ import annotations

import ast
import graphlib
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 400

# From the top of the house to its ground. A room may import what stands below it, and no room of
# its own floor. ``__init__`` is the public face, which only users and the command import.
FLOORS = [
    {"__main__"},
    {"cli", "napari"},
    {"__init__"},
    {"api", "experiments"},
    {"evaluate"},
    {"run"},
    {"baselines", "fitting", "measure", "provenance", "report"},
    {"masks", "schema"},
    {"io", "methods", "run_records", "summaries"},
    {"nn", "ops", "presets", "result_names"},
    {"checks", "config", "conform", "csv_text", "interop", "jax_setup", "losses"},
    {"criteria", "dotted", "errors", "interruptions", "parallel", "text", "version"},
]


# Packages that others enter by their ``__init__`` only.
DOORS = {
    *(
        "baselines",
        "cli",
        "evaluate",
        "experiments",
        "fitting",
        "io",
        "masks",
        "measure",
        "methods",
        "napari",
        "report",
        "run",
    ),
    "run.engines",
}


def find_modules(package: str, parent: Path) -> dict[str, Path]:
    """Dotted name → file of every module of a package."""
    found = {}
    for path in sorted((parent / package).rglob("*.py")):
        parts = path.relative_to(parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def find_imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Modules of the package that a file imports, within functions and for types too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module


def get_room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def test_every_import_runs_downwards() -> None:
    modules = find_modules("s3net_jax", ROOT)
    height = {room: -n for n, floor in enumerate(FLOORS) for room in floor}
    assert {get_room(module) for module in modules} == set(height)
    upwards = [
        f"{module} imports {imported}"
        for module, path in modules.items()
        for imported in find_imports(path, modules)
        if get_room(module) != get_room(imported)
        and height[get_room(module)] <= height[get_room(imported)]
    ]
    assert not upwards


def test_packages_are_entered_through_their_doors() -> None:
    modules = find_modules("s3net_jax", ROOT)
    doors = {f"s3net_jax.{name}" for name in DOORS}
    bypassed = [
        f"{module} imports from {node.module}"
        for module, path in modules.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in modules
        if get_room(node.module) in DOORS and get_room(node.module) != get_room(module)
        if node.module not in doors
    ]
    assert not bypassed


def test_doors_are_complete() -> None:
    """Every name that a door exports is there, also those that are imported when first used."""
    for name in DOORS:
        door = importlib.import_module(f"s3net_jax.{name}")
        assert [n for n in door.__all__ if not hasattr(door, n)] == []


@pytest.mark.parametrize(
    ("package", "parent"), [("s3net_jax", ROOT), ("s3net_kernels", ROOT / "kernels")]
)
def test_no_files_import_each_other(package: str, parent: Path) -> None:
    modules = find_modules(package, parent)
    graph = {
        module: {name for name in find_imports(path, modules) if name != module}
        for module, path in modules.items()
        if path.name != "__init__.py"  # it hands names on, and comes after what it hands on
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_no_file_is_long() -> None:
    folders = ("s3net_jax", "kernels/s3net_kernels", "benchmarks", "examples", "tests")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    long = {
        str(p.relative_to(ROOT)): n
        for p in files
        if (n := len(p.read_bytes().splitlines())) > MAX_LINES
    }
    assert not long
