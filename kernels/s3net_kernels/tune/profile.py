"""Measure the device time of every kernel of a program with JAX's profiler."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

__all__ = ["profile_kernels"]

# Lines of a device's plane that repeat the kernels' time, summed by step, module or source.
_SUMS = ("Steps", "XLA Modules", "XLA Ops", "Framework Ops", "Framework Name Scope", "Source code")


def profile_kernels(
    run: Callable[[], Any],
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Measure seconds and calls of every (kernel, place in the program) while ``run()`` runs."""
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            run()
        (path,) = Path(folder).rglob("*.xplane.pb")
        data = jax.profiler.ProfileData.from_file(str(path))
    spent: Counter[tuple[str, str]] = Counter()
    calls: Counter[tuple[str, str]] = Counter()
    planes = [plane for plane in data.planes if plane.name.startswith("/device:")]
    on_device = bool(planes)
    for plane in planes or data.planes:
        for line in plane.lines:
            # Skip summary lines, which repeat the kernels' time by step and module.
            if line.name in _SUMS:
                continue
            for event in line.events:
                stats = dict(event.stats)
                if not on_device and "hlo_op" not in stats:
                    continue
                source = str(stats.get("name") or stats.get("tf_op") or stats.get("hlo_op") or "")
                key = re.sub(r"\.\d+$", "", event.name), _short(source)
                spent[key] += event.duration_ns / 1e9
                calls[key] += 1
    return spent, calls


def _short(source: str) -> str:
    """Shorten a place in the program by the parts that all places share."""
    return re.sub(r"(jit\([^)]*\)|while|body|closed_call|vmap\(\)|jvp\(\))/", "", source)
