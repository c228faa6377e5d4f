"""The tables of presets on the site: S3-Net's, and one for every other method."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from s3net_jax.presets import PRESETS, preset

PAGE = Path(__file__).parents[2] / "docs/_site/command_page.py"


def read_tables() -> list[list[str]]:
    """The rows of each table, without its line of dashes."""
    spec = importlib.util.spec_from_file_location("command_page", PAGE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    parts = module.presets_table().split("\n\n")
    tables = [part.splitlines() for part in parts if part.startswith("|")]
    assert all(rows[1].startswith("| --- ") for rows in tables)
    return [[rows[0], *rows[2:]] for rows in tables]


def test_each_method_has_its_own_fields() -> None:
    first, *others = read_tables()
    names = "`best` | `robust` | `paper` | `paper-lung` | `released` | `fast`"
    assert first[0] == f"| field | {names} |"
    assert "| `loss.weight_ce` | 3.5 | 3.5 | 1.2 | 1.0 | 3.5 | 1.2 |" in first
    assert (
        "| `segment.choice` | proposals | traits | clusters | clusters | clusters | clusters |"
        in first
    )
    assert not any("method." in row for row in first)
    titles = [rows[0] for rows in others]
    assert "| field | `iic-image` | `iic` |" in titles
    shown = "".join(titles)
    assert all(f"`{name}`" in shown for name in PRESETS if preset(name).method.name != "s3net")
    sgscn = next(rows for rows in others if "`sgscn`" in rows[0])
    for row in ("| `method.weight_continuity` | 5.0 |", "| `loss.weight_ce` | 1.0 |"):
        assert row in sgscn
    assert "| `model.channels` | 100 |" in sgscn and "| `input.channel_order` | bgr |" in sgscn
    assert not any(name in row for row in sgscn for name in ("weight_affine", "deform", "members"))
