"""Segment images and volumes: the command ``segment``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence

from s3net_jax.cli.session import open_session, parse_count, parse_seed, read_config
from s3net_jax.config import Config
from s3net_jax.errors import UsageError
from s3net_jax.text import escape_unseen

__all__ = ["run_segment", "segment_paths"]


def run_segment(args: argparse.Namespace) -> int:
    """Run ``s3net segment``; return 0 if every input was segmented, 1 if any failed."""
    if not args.inputs:
        raise UsageError("No input is given: name at least one image, folder or pattern.")
    if not all(args.inputs):
        raise UsageError("An input is an empty string: name files, folders or patterns.")
    if not args.out:
        raise UsageError("No output folder is given: add --out DIR.")
    config = read_config(args)
    from s3net_jax.run import check_usable

    check_usable(args.inputs, args.recursive)
    return segment_paths(args, args.inputs, config, parse_seed(args.seed), args.overwrite)


def segment_paths(
    args: argparse.Namespace, inputs: Sequence[str], config: Config, seed: int, overwrite: bool
) -> int:
    """Segment inputs with the engine and display that ``args`` specify; return the exit code.

    Args:
      args: parsed arguments of the command.
      inputs: files, folders and patterns.
      config: configuration of all fits.
      seed: first seed.
      overwrite: whether to replace existing results.

    Raises:
      UsageError: an option is invalid, or the last seed is too large.
    """
    seeds = parse_count(getattr(args, "seeds", "1"), "--seeds")
    if seed + seeds > 2**32:
        raise UsageError(
            f"--seed {seed} with --seeds {seeds} exceeds the largest seed, {2**32 - 1}."
        )
    from s3net_jax.run import find_rank, segment_inputs

    rank = find_rank()
    with open_session(args, config, seed, seeds) as (engine, display):
        summary = segment_inputs(
            inputs,
            args.out,
            config,
            engine=engine,
            listener=display,
            seed=seed,
            seeds=seeds,
            overwrite=overwrite,
            rank=rank,
            recursive=getattr(args, "recursive", False),
            report=not args.no_report,
            command=shlex.join(["s3net", *args.words]),
        )
    display.finish(summary)
    if summary.report is not None and not (args.quiet or args.json):
        print(f"The report is {escape_unseen(str(summary.report))}.")
    return 1 if summary.failed else 0
