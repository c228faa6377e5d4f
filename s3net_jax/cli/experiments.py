"""Run experiment files: the commands ``ablate``, ``compare`` and ``tune``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3net_jax.cli.session import open_session, parse_count, parse_seed
from s3net_jax.config import parse_overrides
from s3net_jax.errors import UsageError
from s3net_jax.jax_setup import load_jax
from s3net_jax.parallel import run_in_thread
from s3net_jax.text import escape_unseen, format_json_line

__all__ = ["run_grid_file", "run_tuning_file"]

_KINDS = {"ablate": "ablation", "compare": "comparison", "tune": "tuning"}


def run_grid_file(args: argparse.Namespace) -> int:
    """Run ``s3net ablate`` or ``s3net compare``; return 1 if any input failed, otherwise 0."""
    options = _read_options(args)
    from dataclasses import replace

    from s3net_jax.experiments import read_grid, relocate, run_grid

    repeats = None if args.repeats is None else parse_count(args.repeats, "--repeats")
    grid = read_grid(Path(args.file), _KINDS[args.command], repeats=repeats, **options)
    grid = replace(grid, data=relocate(grid.data, args.data, _read_limit(args)))
    found = run_grid(
        grid,
        args.out,
        attend=lambda config, seed, seeds: open_session(args, config, seed, seeds),
        overwrite=args.overwrite,
        say=_choose_say(args),
    )
    scores = {key: found.summary[key] for key in ("reference", "data")}
    _print_tables(args, found.folder, found.text, found.failed, scores)
    return 1 if found.failed else 0


def run_tuning_file(args: argparse.Namespace) -> int:
    """Run ``s3net tune``; return 0."""
    options = _read_options(args)
    from dataclasses import replace

    from s3net_jax.experiments import read_tuning, relocate, run_tuning

    tuning = read_tuning(Path(args.file), **options)
    tuning = replace(tuning, data=relocate(tuning.data, args.data, _read_limit(args)))
    batch = None if args.batch == "auto" else parse_count(args.batch, "--batch")
    found = run_tuning(
        tuning,
        args.out,
        batch=batch,
        call=run_in_thread,
        overwrite=args.overwrite,
        say=_choose_say(args),
    )
    scores = {key: found.summary[key] for key in ("base", "best", "left_out")}
    _print_tables(args, found.folder, found.text, 0, scores)
    return 0


def _read_options(args: argparse.Namespace) -> dict[str, Any]:
    """Read the options that take precedence over the experiment file."""
    if not args.file:
        raise UsageError(
            f"No experiment file is given: s3net {args.command} experiments/NAME.toml."
        )
    if not args.out:
        raise UsageError("No output folder is given: add --out DIR.")
    load_jax("s3net_jax.run", "s3net_jax.fitting")
    return {
        "overrides": parse_overrides(args.sets),
        "seed": None if args.seed is None else parse_seed(args.seed),
        "seeds": None if args.seeds is None else parse_count(args.seeds, "--seeds"),
    }


def _read_limit(args: argparse.Namespace) -> int | None:
    return None if args.limit is None else parse_count(args.limit, "--limit")


def _choose_say(args: argparse.Namespace) -> Callable[[str], None]:
    if args.quiet:
        return lambda text: None
    if args.json:
        return lambda text: print(format_json_line({"event": "part", "text": text}), flush=True)
    return lambda text: print(f"== {escape_unseen(text)}", flush=True)


def _print_tables(
    args: argparse.Namespace, folder: Path, text: str, failed: int, scores: dict[str, Any]
) -> None:
    """Print the tables as text, or as the JSON event ``tables`` with ``scores``."""
    if args.json:
        event = {"event": "tables", "out": str(folder), "failed": failed, **scores}
        print(format_json_line(event), flush=True)
    elif not args.quiet:
        print(
            f"\n{text}\n\nThe report is {escape_unseen(str(folder / 'report.html'))}.", flush=True
        )
