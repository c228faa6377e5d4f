"""Look up and run suites, for ``python -m benchmarks SUITE`` and ``s3net bench SUITE``."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

__all__ = ["SUITES", "list_suites", "run"]

SUITES = {
    "ops": "every operator by implementation, direction, shape and dtype, and its roofline",
    "step": "one optimisation step by implementation, its parts, compile time, peak memory",
    "fit": "whole fits of one image or several, images per minute, peak memory",
    "methods": "whole fits of SGSCN and DFC: the suite fit with their presets",
    "many": "batches, sweeps and processes: images per minute against single fits",
    "numerics": "rounding errors of operators and of whole fits, against float64",
    "scaling": "time of a step over image sizes, numbers of images, and channels",
    "memory": "peak memory of a worker process of each method, beside the estimate",
    "trace": "time of a fit on the device, kernel by kernel (printed only)",
}


def list_suites() -> str:
    """Describe the suites, one line each."""
    return "\n".join(f"{name:9s} {text}" for name, text in SUITES.items())


def run(name: str, arguments: Sequence[str]) -> None:
    """Run the suite ``name`` with its own command-line arguments.

    Raises:
      KeyError: if there is no suite of that name.
    """
    SUITES[name]
    importlib.import_module(f"benchmarks.suites.{name}").main(list(arguments))
