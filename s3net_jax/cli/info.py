"""The command ``info``, which describes the installation and presets, as text or JSON."""

from __future__ import annotations

import argparse
import json
from typing import Any

from s3net_jax.jax_setup import load_jax
from s3net_jax.presets import PRESETS, preset
from s3net_jax.provenance import (
    collect_versions,
    describe_cpu_kernels,
    describe_devices,
    list_implementations,
)

__all__ = ["describe", "describe_preset", "run_info"]


def run_info(args: argparse.Namespace) -> int:
    """Run ``s3net info``: print the installation, or one preset."""
    load_jax()
    print(describe_preset(args.preset, args.json) if args.preset else describe(args.json))
    return 0


def describe(as_json: bool) -> str:
    """Describe versions, devices, implementations of the operators, and presets."""
    presets = {name: (make.__doc__ or "").strip() for name, make in PRESETS.items()}
    machine: dict[str, Any] = {**describe_devices()}
    content = {
        "versions": collect_versions(),
        "devices": machine,
        "cpu_kernels": describe_cpu_kernels(),
        "implementations": list_implementations(),
        "presets": presets,
    }
    if as_json:
        return json.dumps(content, ensure_ascii=False)
    lines = ["Versions", *_format_table(content["versions"])]
    lines += ["", "Machine"]
    lines += _format_table({**machine, "devices": ", ".join(machine["devices"])})
    lines.append(f"  CPU kernels: {content['cpu_kernels']}")
    lines += ["", "Implementations"]
    for operator, reasons in content["implementations"].items():
        available = [name for name, reason in reasons.items() if reason is None]
        lines.append(f"  {operator}: {', '.join(available) or 'none'}")
        for name, reason in reasons.items():
            if reason is not None:
                lines.append(f"    not {name}: {reason}")
    lines += ["", "Presets (s3net info --preset NAME shows all fields)", *_format_table(presets)]
    return "\n".join(lines)


def describe_preset(name: str, as_json: bool) -> str:
    """Describe every field of a preset with its value, as ``--set`` takes it.

    Raises:
      ConfigError: there is no such preset.
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
