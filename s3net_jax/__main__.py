"""Run the command as a process: ``s3net`` and ``python -m s3net_jax``.

Signal handlers are installed before most imports, so a command that is interrupted while it starts
ends without a traceback.
"""

from __future__ import annotations

import sys

from s3net_jax.interruptions import end_at_once

__all__ = ["main"]


def main() -> int:
    """Run the command with the arguments in ``sys.argv``; return its exit code."""
    end_at_once()
    from s3net_jax.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
