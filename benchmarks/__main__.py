"""Run a suite: ``python -m benchmarks SUITE [options]``. Without a suite, list the suites."""

from __future__ import annotations

import sys

from benchmarks.suites import SUITES, list_suites, run
from s3net_jax.errors import suggest_nearest


def main(arguments: list[str]) -> int:
    """Run the suite and return the exit code: 0, or 2 for an unknown suite."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(f"{__doc__}\n\n{list_suites()}")
        return 0
    if arguments[0] not in SUITES:
        hint = suggest_nearest(arguments[0], list(SUITES))
        print(f"s3net: There is no suite {arguments[0]!r}.{hint}", file=sys.stderr)
        return 2
    run(arguments[0], arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
