"""``s3net info``: what it lists, and what it says about a GPU."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from s3net_jax import jax_setup
from s3net_jax.config import Config, parse_overrides
from s3net_jax.presets import PRESETS, preset
from tests.cli.calling import s3net

pytestmark = pytest.mark.usefixtures("place")


def test_info(capsys) -> None:
    code, out, err = s3net(capsys, "info")
    assert code == 0 and not err
    for words in ("jax", "reference  all", "paper-lung", "backend"):
        assert words in out
    content = json.loads(s3net(capsys, "info", "--json")[1])
    names = ["versions", "devices", "cpu_kernels", "implementations", "methods", "presets", "hint"]
    assert list(content) == names and "deform_conv2d" in content["implementations"]
    assert content["methods"]["dfc"] == ["loss.weight_ce", "method.weight_continuity"]
    assert "fit.learning_rate        0.2\n" in s3net(capsys, "info", "--preset", "released")[1]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_lists_what_its_method_reads(capsys, name: str) -> None:
    config = preset(name)
    code, out, _ = s3net(capsys, "info", "--preset", name)
    title, *rows = out.splitlines()
    assert code == 0
    assert title == f"Preset {name}, method {config.method.name}, digest {config.digest}"
    values = dict(row.split(maxsplit=1) for row in rows)
    fields = {key for key in values if key.startswith(("method.", "loss.", "model."))}
    if config.method.name == "s3net":
        assert fields >= {"loss.weight_spatial", "loss.affine.scale", "model.deform"}
        assert not any(key.startswith("method.") for key in fields)
    else:
        own = {f"method.{field.name}" for field in dataclasses.fields(config.method)}
        assert fields == own | set(config.method.reads)
    # What is printed can be set, and gives the preset.
    sets = [f"{key}={value}" for key, value in values.items() if key != "method.name"]
    base = config.replace(fit={"steps": 1}, segment={"target": "dark"})
    assert base.replace(**parse_overrides(sets)) == config
    content = json.loads(s3net(capsys, "info", "--preset", name, "--json")[1])
    assert content.pop("digest") == config.digest
    assert Config().replace(**content) == config


def test_info_says_what_is_broken(capsys, monkeypatch) -> None:
    def fail() -> None:
        raise AttributeError("undefined symbol: f")

    monkeypatch.setattr("s3net_kernels.implementations", fail)
    code, out, _ = s3net(capsys, "info")
    assert code == 0 and "it cannot be loaded (AttributeError: undefined symbol: f)" in out


def test_info_has_one_line_for_each_implementation(capsys, monkeypatch) -> None:
    operators = {
        "linear": {"xla": None, "native": "no compiler", "pallas": "no GPU"},
        "conv2d": {"xla": None, "native": None, "pallas": "no GPU"},
        "warp": {"xla": None, "native": "no image"},
    }
    monkeypatch.setattr("s3net_kernels.implementations", lambda: operators)
    lines = s3net(capsys, "info")[1].splitlines()
    start = lines.index("Implementations of the operators")
    assert lines[start + 1 : start + 5] == [
        "  xla     all 3",
        "  native  1 of 3: not linear (no compiler); not warp (no image)",
        "  pallas  none: no GPU",
        "",
    ]


@pytest.mark.parametrize(
    ("platform", "modules", "variables", "words"),
    [
        ("cpu", (), {}, "no CUDA extra is installed: pip install 's3net-jax[cuda13]'"),
        ("cpu", ("jax_cuda12_plugin",), {}, "although the extra cuda12 is installed"),
        ("cpu", (), {"JAX_PLATFORMS": "cpu"}, "because JAX_PLATFORMS is cpu: unset it"),
        ("gpu", (), {}, None),
    ],
)
def test_info_names_what_a_gpu_lacks(
    capsys, monkeypatch, platform: str, modules: tuple[str, ...], variables: dict, words: str | None
) -> None:
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(jax_setup.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(jax_setup, "get_platform", lambda: platform)
    find = jax_setup.importlib.util.find_spec
    monkeypatch.setattr(
        jax_setup.importlib.util,
        "find_spec",
        lambda name: name in modules or None if name.startswith("jax_cuda") else find(name),
    )
    out = s3net(capsys, "info")[1]
    found = json.loads(s3net(capsys, "info", "--json")[1])["hint"]
    if words is None:
        assert found is None and "hint" not in out
    else:
        assert words in found and f"  hint: {found}\n" in out


def test_without_an_nvidia_gpu_there_is_no_hint(monkeypatch) -> None:
    monkeypatch.setattr(jax_setup.shutil, "which", lambda name: None)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert jax_setup.find_gpu_hint() is None
