"""Rebuild the page on which a person reviews results: the command ``review``."""

from __future__ import annotations

import argparse
import webbrowser

from s3net_jax.errors import OutputError, UsageError
from s3net_jax.text import escape_unseen, format_json_line

__all__ = ["run_review"]


def run_review(args: argparse.Namespace) -> int:
    """Run ``s3net review``: write ``report.html``, print its path and return 0.

    Raises:
      UsageError: no folder is given.
      OutputError: the page can't be written, or opened with ``--open``.
    """
    if not args.folder:
        raise UsageError("Name the output folder to review: s3net review DIR.")
    from s3net_jax.run import review_folder

    path = review_folder(args.folder)
    if args.json:
        print(format_json_line({"event": "review", "report": str(path)}), flush=True)
    elif not args.quiet:
        print(f"The report is {escape_unseen(str(path))}.", flush=True)
    if args.open and not webbrowser.open(path.resolve().as_uri()):
        raise OutputError(f"No browser could be opened: open {path} yourself.")
    return 0
