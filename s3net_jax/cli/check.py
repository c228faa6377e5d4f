"""Check the results in an output folder: the command ``check``."""

from __future__ import annotations

import argparse
import json

from s3net_jax.errors import UsageError
from s3net_jax.text import escape_unseen

__all__ = ["run_check"]


def run_check(args: argparse.Namespace) -> int:
    """Run ``s3net check``; return 0 if all results are intact, 1 if any is missing or damaged."""
    if not args.folder:
        raise UsageError("Name the output folder to check: s3net check DIR.")
    from s3net_jax.evaluate import check_folder

    found = check_folder(args.folder)
    for path, problem in found.files.items():
        if args.json:
            _emit({"event": "damaged", "file": str(path), "problem": problem})
        else:
            print(escape_unseen(f"{path} {problem}."))
    if args.json:
        counts = {name: getattr(found, name) for name in ("results", "damaged", "failed")}
        _emit({"event": "checked", "out": args.folder, **counts, "undigested": found.undigested})
    elif not args.quiet:
        print(
            escape_unseen(_summarise(args.folder, found.results, found.damaged, len(found.files)))
        )
        if found.undigested:
            print(
                f"{_format_count(found.undigested)} from earlier versions without digests: only "
                "the readability of the files was checked."
            )
        if found.failed:
            count = "1 input" if found.failed == 1 else f"{found.failed} inputs"
            print(f"{count} failed or did not finish.")
    return 1 if found.files else 0


def _summarise(folder: str, results: int, damaged: int, files: int) -> str:
    if not files:
        return f"{folder}: {_format_count(results)} checked, all intact."
    damage = "1 file is" if files == 1 else f"{files} files are"
    return (
        f"{folder}: {_format_count(results)} checked, {damaged} damaged ({damage} missing or "
        "changed). To repair results, repeat the command that wrote them, without --overwrite."
    )


def _format_count(results: int) -> str:
    return "1 result" if results == 1 else f"{results} results"


def _emit(event: dict[str, object]) -> None:
    print(json.dumps(event), flush=True)
