"""Segment images and volumes: the command ``segment``."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from s3net_jax.cli.session import open_session, parse_count, parse_seed, read_config
from s3net_jax.config import Config
from s3net_jax.errors import UsageError
from s3net_jax.text import escape_unseen

if TYPE_CHECKING:
    from s3net_jax.run import OutputOptions

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
    _read_output(args)
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
            model=getattr(args, "model", None),
            output=_read_output(args),
            report=not args.no_report,
            command=shlex.join(["s3net", *args.words]),
        )
    display.finish(summary)
    if summary.report is not None and not (args.quiet or args.json):
        print(f"The report is {escape_unseen(str(summary.report))}.")
    return 1 if summary.failed else 0


def _read_output(args: argparse.Namespace) -> OutputOptions:
    """Build the output options; those that the command does not have keep their defaults.

    Raises:
      ConfigError: a value is invalid, or a package that an export needs is not installed.
    """
    from s3net_jax.io import check_segment_name, parse_code
    from s3net_jax.measure import check_exports, parse_exports, parse_pixel_size
    from s3net_jax.run import OutputOptions

    size, export = getattr(args, "pixel_size", None), getattr(args, "export", None)
    formats = () if export is None else parse_exports(export)
    check_exports(formats)
    code = getattr(args, "code", None) or ""
    if code:
        parse_code(code)
    return OutputOptions(
        pixel_size=None if size is None else parse_pixel_size(size),
        measure_clusters=getattr(args, "measure_clusters", False),
        instances=getattr(args, "instances", False),
        export=formats,
        segment_name=check_segment_name(args.name) if getattr(args, "name", None) else "",
        segment_code=code,
    )
