"""Collect metadata of a result, and write its file."""

from __future__ import annotations

import json
import math
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.machine import read_cpu_model
from benchmarks.harness.presets import ORDER
from s3net_jax.provenance import collect_versions, describe_devices

__all__ = ["RESULTS", "collect_metadata", "format_json", "write_result"]

RESULTS = Path(os.environ.get("S3NET_BENCHMARKS_RESULTS") or Path(__file__).parents[1] / "results")
"""Folder of the result files, unless ``S3NET_BENCHMARKS_RESULTS`` names another."""


def collect_metadata(command: str) -> dict[str, Any]:
    """Collect versions, machine, threads, commit, seed, order of the inception, and command."""
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
        "inception": ORDER,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _find_commit(),
        "versions": found,
        "machine": _describe_machine(),
        "torch_threads": torch_threads,
    }


def write_result(name: str, content: dict[str, Any], folder: Path | None = None) -> Path:
    """Write ``content`` atomically to ``folder/name.json`` and return the path."""
    folder = RESULTS if folder is None else folder
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    temporary = path.with_suffix(".json.tmp")
    temporary.write_text(format_json(content, sort_keys=True) + "\n")
    os.replace(temporary, path)
    return path


def format_json(content: dict[str, Any], **options: Any) -> str:
    """Format ``content`` as JSON; numbers that are not finite become null, as JSON has none."""
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
    """Return the commit, with ``-dirty`` if anything but results and pages differs from it."""
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
