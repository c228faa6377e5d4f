"""Describe the installation and the presets, as text or JSON: the command ``info``."""

from __future__ import annotations

import argparse
import json
from typing import Any

from s3net_jax.jax_setup import find_gpu_hint, load_jax
from s3net_jax.presets import PRESETS, preset
from s3net_jax.provenance import (
    collect_versions,
    describe_cpu_kernels,
    describe_devices,
    list_implementations,
)

__all__ = ["describe", "describe_preset", "run_info"]


def run_info(args: argparse.Namespace) -> int:
    """Run ``s3net info``: describe the installation, or one preset; return 0."""
    load_jax()
    print(describe_preset(args.preset, args.json) if args.preset else describe(args.json))
    return 0


def describe(as_json: bool) -> str:
    """Describe versions, devices, implementations of operators, and presets."""
    presets = {name: (make.__doc__ or "").strip() for name, make in PRESETS.items()}
    machine: dict[str, Any] = {**describe_devices()}
    hint = find_gpu_hint()
    content = {
        "versions": collect_versions(),
        "devices": machine,
        "cpu_kernels": describe_cpu_kernels(),
        "implementations": list_implementations(),
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
    lines += ["", "Presets (s3net info --preset NAME shows all fields)", *_format_table(presets)]
    return "\n".join(lines)


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
    """List every field of a preset with its value, in the syntax of ``--set``.

    Raises:
      ConfigError: the preset does not exist.
    """
    config = preset(name)
    if as_json:
        return json.dumps({**config.to_dict(), "digest": config.digest}, ensure_ascii=False)
    flat = _flatten(config.to_dict(), "")
    del flat["preset"]
    return "\n".join([f"Preset {name}, digest {config.digest}", *_format_table(flat)])


def _flatten(tree: dict[str, Any], path: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= _flatten(value, f"{path}{name}.")
        elif isinstance(value, list):
            found[f"{path}{name}"] = ",".join(map(str, value))
        elif isinstance(value, bool):
            found[f"{path}{name}"] = str(value).lower()
        else:
            found[f"{path}{name}"] = value
    return found


def _format_table(rows: dict[str, Any]) -> list[str]:
    width = max(map(len, rows))
    return [f"  {name:<{width}}  {value}" for name, value in rows.items()]
