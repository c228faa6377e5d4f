"""The commands ``ablate``, ``compare`` and ``tune``: from arguments to exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3net_jax.cli.session import attended, count_of, in_worker, seed_of
from s3net_jax.config import parse_overrides
from s3net_jax.errors import UsageError
from s3net_jax.jax_setup import load_jax
from s3net_jax.text import json_line, one_line

__all__ = ["run_grid_command", "run_tune_command"]

_KINDS = {"ablate": "ablation", "compare": "comparison", "tune": "tuning"}


def run_grid_command(args: argparse.Namespace) -> int:
    """``s3net ablate`` and ``s3net compare``."""
    options = _options(args)
    from dataclasses import replace

    from s3net_jax.experiments import read_grid, relocated, run_grid
    from s3net_jax.report import overlay

    grid = read_grid(Path(args.file), _KINDS[args.command], **options)
    grid = replace(grid, data=relocated(grid.data, args.data, _limit(args)))
    found = run_grid(
        grid,
        args.out,
        attend=lambda config, seed, seeds: attended(args, config, seed, seeds),
        draw=overlay,
        overwrite=args.overwrite,
        say=_say(args),
    )
    scores = {key: found.summary[key] for key in ("reference", "data")}
    _end(args, found.folder, found.text, found.failed, scores)
    return 1 if found.failed else 0


def run_tune_command(args: argparse.Namespace) -> int:
    """``s3net tune``."""
    options = _options(args)
    from dataclasses import replace

    from s3net_jax.experiments import read_tuning, relocated, run_tuning

    tuning = read_tuning(Path(args.file), **options)
    tuning = replace(tuning, data=relocated(tuning.data, args.data, _limit(args)))
    batch = None if args.batch == "auto" else count_of(args.batch, "--batch")
    found = run_tuning(
        tuning, args.out, batch=batch, call=in_worker, overwrite=args.overwrite, say=_say(args)
    )
    scores = {key: found.summary[key] for key in ("base", "best", "left_out")}
    _end(args, found.folder, found.text, 0, scores)
    return 0


def _options(args: argparse.Namespace) -> dict[str, Any]:
    """What of the command line takes the place of the file's words."""
    if not args.file:
        raise UsageError(f"Name the experiment: s3net {args.command} experiments/NAME.toml.")
    if not args.out:
        raise UsageError("Say where the results go: --out DIR.")
    load_jax("s3net_jax.run", "s3net_jax.fitting")
    return {
        "overrides": parse_overrides(args.sets),
        "seed": None if args.seed is None else seed_of(args.seed),
        "seeds": None if args.seeds is None else count_of(args.seeds, "--seeds"),
    }


def _limit(args: argparse.Namespace) -> int | None:
    return None if args.limit is None else count_of(args.limit, "--limit")


def _say(args: argparse.Namespace) -> Callable[[str], None]:
    if args.quiet:
        return lambda text: None
    if args.json:
        return lambda text: print(json_line({"event": "part", "text": text}), flush=True)
    return lambda text: print(f"== {one_line(text)}", flush=True)


def _end(
    args: argparse.Namespace, folder: Path, text: str, failed: int, scores: dict[str, Any]
) -> None:
    """The tables: as text, or for a program as ``scores``."""
    if args.json:
        event = {"event": "tables", "out": str(folder), "failed": failed, **scores}
        print(json_line(event), flush=True)
    elif not args.quiet:
        print(f"\n{text}\n\nLook at {one_line(str(folder / 'report.html'))}.", flush=True)
