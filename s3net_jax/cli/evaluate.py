"""Evaluate a data set with ground truth: the command ``evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from s3net_jax.cli.session import open_session, parse_count, parse_seed, read_config
from s3net_jax.errors import InputError, UsageError
from s3net_jax.text import escape_unseen, format_json_line

__all__ = ["run_evaluate"]


def run_evaluate(args: argparse.Namespace) -> int:
    """Run ``s3net evaluate``; return 0 if every image was segmented, 1 if any failed."""
    if not args.images:
        raise UsageError("No images are given: add --images DIR.")
    if not args.out:
        raise UsageError("No output folder is given: add --out DIR.")
    limit = None if args.limit is None else parse_count(args.limit, "--limit")
    config = read_config(args).replace(fit={"record_labels": True})  # for the film in the report
    seed, seeds = parse_seed(args.seed), parse_count(args.seeds, "--seeds")
    from s3net_jax.evaluate import collect_scores, evaluate, find_pairs, format_table, write_report

    masks = None if args.masks is None else Path(args.masks)
    pairs = find_pairs(args.dataset, Path(args.images), masks, limit)
    with open_session(args, config, seed, seeds) as (engine, display):
        found = evaluate(
            pairs,
            args.out,
            config,
            engine=engine,
            listener=display,
            seed=seed,
            seeds=seeds,
            overwrite=args.overwrite,
            against=None if args.against is None else Path(args.against),
            model=args.model,
        )
        path = None
        if found.records:
            display.show_phase("report")
            path = write_report(found, pairs, f"{found.method} on {args.images}")
    display.finish(found.run)
    if path is None:
        raise InputError("No scores were computed, because no image could be segmented.")
    if args.json:
        print(
            format_json_line(
                {"event": "scores", "report": str(path), **collect_scores(found.summary)}
            )
        )
    elif not args.quiet:
        print(format_table(found.summary))
        print(f"The report is {escape_unseen(str(path))}.")
    return 1 if found.run.failed else 0
