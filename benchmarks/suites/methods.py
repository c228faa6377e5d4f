"""Time whole fits of SGSCN and DFC beside the same methods in PyTorch.

    python -m benchmarks methods --size 256

runs the suite ``fit`` with the presets ``sgscn`` and ``dfc``, their 100 channels and 50 steps, and
one image at a time. It takes the options of ``fit`` and writes its result file.
"""

from __future__ import annotations

import sys

from benchmarks.suites import fit

__all__ = ["main"]

_ARGUMENTS = ["--preset", "sgscn", "--preset", "dfc", "--channels", "100", "--images", "1"]


def main(arguments: list[str] | None = None) -> None:
    arguments = sys.argv[1:] if arguments is None else arguments
    fit.main([*_ARGUMENTS, *arguments])


if __name__ == "__main__":
    main()
