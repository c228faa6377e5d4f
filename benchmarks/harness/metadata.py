"""What a result was measured on, and its file."""

from __future__ import annotations

import json
import math
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import read_cpu_model
from s3net_jax.provenance import collect_versions, describe_devices

__all__ = ["RESULTS", "collect_metadata", "format_json", "write_result"]

RESULTS = Path(os.environ.get("S3NET_BENCHMARKS_RESULTS") or Path(__file__).parents[1] / "results")
"""Folder of the result files; ``S3NET_BENCHMARKS_RESULTS`` names another."""


def collect_metadata(command: str) -> dict[str, Any]:
    """Versions, machine, threads, commit, the seed of everything drawn, and the command."""
    found = collect_versions()
    try:
        import torch

        found["torch"] = torch.__version__
        torch_threads = torch.get_num_threads()
    except ModuleNotFoundError:
        torch_threads = None
    return {
        "command": command.strip(),
        "seed": 0,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _find_commit(),
        "versions": found,
        "machine": _describe_machine(),
        "torch_threads": torch_threads,
    }


def write_result(name: str, content: dict[str, Any], folder: Path | None = None) -> Path:
    """Write ``content`` to ``folder/name.json`` in one move and return the path."""
    folder = RESULTS if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(format_json(content, sort_keys=True) + "\n")
    os.replace(temporary, path)
    return path


def format_json(content: dict[str, Any], **options: Any) -> str:
    """The text of ``content``; null where a number is not finite, which JSON has no word for."""
    return json.dumps(_replace_infinite(content), indent=1, allow_nan=False, **options)


def _replace_infinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _replace_infinite(v) for name, v in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_infinite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _describe_machine() -> dict[str, Any]:
    machine: dict[str, Any] = {**describe_devices()}
    if read_cpu_model():
        family, model = read_cpu_model()
        machine["processor"] += f" (family {family}, model {model})"
    return machine


def _find_commit() -> str:
    """The commit, marked where anything but results and pages differs from it."""
    try:
        name = _run_git("rev-parse", "--short=12", "HEAD")
        made = [":(top,exclude)benchmarks/results", ":(top,exclude)docs", ":(top,exclude)README.md"]
        changed = _run_git("status", "--porcelain", "--untracked-files=no", "--", ":/", *made)
        return name + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _run_git(*arguments: str) -> str:
    here = Path(__file__).parent
    run = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True)
    return run.stdout.strip()
