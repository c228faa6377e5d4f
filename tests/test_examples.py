"""The examples of docstrings and pages, and the commands of the README, run and give what they say.

Presets are small here: an example is checked for its names and what it passes, not for its masks.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import s3net_jax as s3
import s3net_kernels
from s3net_jax.cli import main
from s3net_jax.config import methods as configs
from s3net_jax.fitting import initial_params
from s3net_jax.methods import registry as methods_registry
from s3net_jax.presets import PRESETS
from tests.pictures import save_lesion
from tests.volumes import ball, save_dicom

ROOT = Path(__file__).parents[1]
PACKAGES = [Path(package.__path__[0]) for package in (s3, s3net_kernels)]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "kernels/*.md", "benchmarks/*.md")
    for page in ROOT.glob(pattern)
    if "```python" in page.read_text() and page != ROOT / "README.md"
)
README = (ROOT / "README.md").read_text()
_SHELL = re.compile(r"^```bash\n(.*?)^```", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
_LITERAL = re.compile(r"::\n\n((?:(?: {4,}.*)?\n)+)")


def modules() -> Iterator[tuple[str, str]]:
    """Name and text of every module of the packages."""
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            parts = path.relative_to(package.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path.read_text()


def literal_blocks(source: str) -> list[str]:
    """The blocks after `::` in the docstrings of a module."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds)]
    texts = (ast.get_docstring(node) or "" for node in nodes)
    return [textwrap.dedent(block) for text in texts for block in _LITERAL.findall(text + "\n")]


MODULES = dict(modules())
TESTED = [name for name, text in MODULES.items() if ">>> " in text]
LITERAL = {name: blocks for name, text in MODULES.items() if (blocks := literal_blocks(text))}


@pytest.mark.parametrize("name", TESTED)
def test_docstrings_say_what_python_prints(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name))
    assert found.attempted > 0 and found.failed == 0


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """What a reader of an example has: pictures, and the variables that examples begin with."""
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "a.png", "b.jpg", "mosaic.tif", "docs/images/lesion.png"):
        save_lesion(tmp_path / name)
    # What pages register ends with their test.
    registries: list[dict[str, Any]] = [PRESETS, methods_registry._registered, configs._CONFIGS]
    before = [dict(registry) for registry in registries]
    for name, full in list(PRESETS.items()):
        size = 33 if full().method.name == "ms-former" else 16
        blocks = {} if full().method.name == "iic" else {"blocks": 1}
        small = full().replace(input={"size": size}, model={"channels": 4, **blocks})
        PRESETS[name] = lambda small=small: small
    config = s3.preset("paper").replace(fit={"steps": 2})
    image = s3.prepare("photo.jpg", config)
    params = initial_params(jax.random.key(0), config, image.shape)
    yield {
        "jax": jax,
        "jnp": jnp,
        "np": np,
        "s3": s3,
        "config": config,
        "image": image,
        "f": lambda x: 2 * x,
        "x": jnp.ones(3),
        "state_dict": s3.interop.to_torch(params),
    }
    for registry, content in zip(registries, before, strict=True):
        registry.clear()
        registry.update(content)
    if "lax" in s3net_kernels.implementations()["conv2d"]:  # docs/kernels.md registers it
        s3net_kernels.unregister_implementation("conv2d", "lax")


def run_blocks(blocks: list[str], names: dict[str, Any], where: str) -> None:
    """Run blocks one after the other, as a reader would in one session."""
    for number, block in enumerate(blocks):
        exec(compile(block, f"{where}, example {number + 1}", "exec", dont_inherit=True), names)


@pytest.mark.slow
@pytest.mark.parametrize("name", LITERAL)
def test_blocks_of_docstrings_run(name: str, names: dict[str, Any]) -> None:
    run_blocks(LITERAL[name], names, name)


def list_commands(page: str) -> list[str]:
    """The single commands of a page's shell blocks, without comments."""
    lines = (line for block in _SHELL.findall(page) for line in block.splitlines())
    words = (shlex.split(line, comments=True) for line in lines)
    return [part.strip() for line in words for part in shlex.join(line).split("'&&'")]


@pytest.mark.slow
def test_python_of_the_readme_runs(names: dict[str, Any]) -> None:
    run_blocks(_BLOCK.findall(README), names, "README.md")
    assert names["result"].mask.shape == (48, 64)


def test_commands_of_the_readme_run(names: dict[str, Any], tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel", reason="volumes need the extra medical")
    commands = list_commands(README)
    others = {command for command in commands if not command.startswith("s3net ")}
    # `.ci/run` runs these.
    assert others == {
        "python3 -m venv .venv",
        ". .venv/bin/activate",
        "pip install .",
        "pip install '.[test]'",
        "pytest -n 2 -m 'not slow'",
    }
    for name in ("photos/a.png", "scans/b.tif", "images/c.png"):
        disc = save_lesion(tmp_path / name)
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.uint8(255 * disc)).save(tmp_path / "masks/c.png")
    volume = np.where(disc[..., None], -800, 40) * np.ones((1, 1, 3))
    nibabel.save(nibabel.Nifti1Image(volume.astype(np.int16), np.eye(4)), "chest.nii.gz")
    own = [command for command in commands if command not in others]
    assert len(own) == 5
    for command in own:
        assert main(shlex.split(command)[1:]) == 0, command
    written = ["out/glands.overlay.png", "results/b.mask.png", "ct/chest.mask.nii.gz"]
    assert all((tmp_path / name).is_file() for name in [*written, "scores/report.html"])


def write_segmented_ct() -> None:
    """Write a CT series and what ``s3net segment`` makes of it: the page on volumes reads it."""
    save_dicom(Path("chest"), ball()[0])
    assert main(["segment", "chest", "--out", "ct", "--quiet"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_blocks_of_pages_run(page: Path, names: dict[str, Any]) -> None:
    if page.name == "volumes.md":
        pytest.importorskip("highdicom", reason="volumes need the extra medical")
        write_segmented_ct()
    run_blocks(_BLOCK.findall(page.read_text()), names, page.name)
