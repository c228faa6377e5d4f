"""Describe the installation and the presets, as text or JSON: the command ``info``."""

from __future__ import annotations

import argparse
import inspect
import json
import re
from collections.abc import Callable
from typing import Any

from s3net_jax.config import Config, LossConfig, MethodConfig, make_method_config
from s3net_jax.dotted import format_value, list_fields
from s3net_jax.jax_setup import find_gpu_hint, load_jax
from s3net_jax.methods import list_methods
from s3net_jax.presets import PRESETS, preset
from s3net_jax.provenance import (
    collect_versions,
    describe_cpu_kernels,
    describe_devices,
    list_implementations,
)

__all__ = ["describe", "describe_preset", "run_info"]

_ROLE = re.compile(r":\w+:`~?([^`]+)`")  # a reference in a docstring, such as :func:`name`


def run_info(args: argparse.Namespace) -> int:
    """Run ``s3net info``: describe the installation, or one preset; return 0."""
    load_jax()
    print(describe_preset(args.preset, args.json) if args.preset else describe(args.json))
    return 0


def describe(as_json: bool) -> str:
    """Describe versions, devices, implementations of operators, methods and presets."""
    presets = {name: _summarise_preset(make) for name, make in PRESETS.items()}
    methods = {name: _list_settings(make_method_config(name)) for name in list_methods()}
    machine: dict[str, Any] = {**describe_devices()}
    hint = find_gpu_hint()
    content = {
        "versions": collect_versions(),
        "devices": machine,
        "cpu_kernels": describe_cpu_kernels(),
        "implementations": list_implementations(),
        "methods": methods,
        "presets": presets,
        "hint": hint,
    }
    if as_json:
        return json.dumps(content, ensure_ascii=False)
    lines = ["Versions", *_format_table(content["versions"])]
    lines += ["", "Machine"]
    lines += _format_table({**machine, "devices": ", ".join(machine["devices"])})
    lines.append(f"  CPU kernels: {content['cpu_kernels']}")
    if hint is not None:
        lines.append(f"  hint: {hint}")
    lines += ["", "Implementations of the operators"]
    lines += _format_table(_summarise_implementations(content["implementations"]))
    lines += ["", "Methods, with their loss weights and settings"]
    lines += _format_table({name: ", ".join(fields) for name, fields in methods.items()})
    lines += ["", "Presets (s3net info --preset NAME shows all fields)", *_format_table(presets)]
    return "\n".join(lines)


def _summarise_preset(make: Callable[[], Config]) -> str:
    """Return the first paragraph of a preset's docstring as one line, or name its method."""
    text = inspect.cleandoc(make.__doc__ or f"Configuration of the method {make().method.name}.")
    return _ROLE.sub(r"\1", " ".join(text.partition("\n\n")[0].split())).replace("``", "")


def _list_settings(method: MethodConfig) -> list[str]:
    """List the fields of ``loss`` that a method reads, and its own fields, by dotted names."""
    loss = list_fields(LossConfig(), "loss.")
    own = [name for name in list_fields(method, "method.") if name != "method.name"]
    return [name for name in loss if method.name == "s3net" or name in method.reads] + own


def _summarise_implementations(operators: dict[str, dict[str, str | None]]) -> dict[str, str]:
    """Summarise for which operators each implementation is available.

    Args:
      operators: operator → implementation → None, or the reason why it is not available.

    Returns:
      Implementation → one line of text.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(name for reasons in operators.values() for name in reasons):
        reasons = {operator: r[name] for operator, r in operators.items() if name in r}
        missing: dict[str, list[str]] = {}
        for operator, reason in reasons.items():
            if reason is not None:
                missing.setdefault(reason, []).append(operator)
        available = len(reasons) - sum(map(len, missing.values()))
        if available == len(reasons):
            found[name] = f"all {available}"
        elif available == 0 and len(missing) == 1:
            found[name] = f"none: {next(iter(missing))}"
        else:
            without = [f"not {', '.join(names)} ({why})" for why, names in missing.items()]
            found[name] = f"{available} of {len(reasons)}: {'; '.join(without)}"
    return found


def describe_preset(name: str, as_json: bool) -> str:
    """List the fields that the method of a preset reads, in the syntax of ``--set``.

    Raises:
      ConfigError: the preset does not exist.
    """
    config = preset(name)
    fields = config.list_fields()
    if as_json:
        content: dict[str, Any] = {"preset": config.preset}
        for full, value in fields.items():
            *path, own = full.split(".")
            section = content
            for part in path:
                section = section.setdefault(part, {})
            section[own] = value
        return json.dumps({**content, "digest": config.digest}, ensure_ascii=False)
    rows = {full: format_value(value) for full, value in fields.items()}
    title = f"Preset {name}, method {config.method.name}, digest {config.digest}"
    return "\n".join([title, *_format_table(rows)])


def _format_table(rows: dict[str, Any]) -> list[str]:
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {value}".rstrip() for name, value in rows.items()]
