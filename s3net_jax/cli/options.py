"""Add the options that several commands share to their parsers."""

from __future__ import annotations

import argparse

from s3net_jax.presets import DEFAULT_PRESET, PRESETS

__all__ = [
    "add_experiment",
    "add_image_options",
    "add_limits",
    "add_many",
    "add_out",
    "add_report",
    "make_output",
    "make_settings",
]

TARGETS = "auto, dark, bright, center, point:X,Y (pixels from the left and top) or all"


def add_out(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    text = "output folder, created if needed"
    text += f" (default: {default})" if default else ""
    parser.add_argument("-o", "--out", metavar="DIR", default=default, help=text)


def add_report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--no-report",
        action="store_true",
        help="do not write report.html, the page on which to review the results",
    )


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that control how images are read."""
    group = parser.add_argument_group("images")
    group.add_argument(
        "--window",
        metavar="NAME",
        help="values to map to black and white: auto, lung, soft, bone (CT), or LOW,HIGH",
    )
    group.add_argument(
        "--axis", metavar="NAME", help="orientation of slices: auto, axial, coronal or sagittal"
    )
    group.add_argument(
        "--tile", metavar="N", help="cut larger images into overlapping tiles of N×N pixels"
    )


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the limits on the resources that a file may take."""
    group = parser.add_argument_group(
        "limits for each file; N may end in K, M or G (docs/safety.md)"
    )
    group.add_argument(
        "--max-pixels",
        metavar="N",
        help="pixels of an image, slice or page (default: 100M); 5 times as many for a volume",
    )
    group.add_argument(
        "--max-bytes",
        metavar="N",
        help="bytes for decoding (default: 256 MiB, or 100 times the file size if larger)",
    )
    group.add_argument("--max-pages", metavar="N", help="number of pages or frames (default: 4000)")


def add_experiment(parser: argparse.ArgumentParser, is_search: bool) -> argparse.ArgumentParser:
    """Add the options of an experiment command; a search has no engine options."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="experiment file, such as experiments/table2.toml"
    )
    add_out(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
    group = parser.add_argument_group("settings that override the file")
    group.add_argument(
        "--data",
        metavar="NAME=FOLDER",
        action="append",
        default=[],
        help="folder of a data set that the file names (images/ and masks/, or as distributed); "
        "may be repeated",
    )
    group.add_argument("--limit", metavar="N", help="use only the first N images of each data set")
    group.add_argument("--seed", metavar="N", help="first random seed")
    group.add_argument(
        "--seeds",
        metavar="N",
        help="number of fits of each image; their "
        + ("scores are averaged" if is_search else "consensus is evaluated"),
    )
    add_load(group)
    add_sets(group, "change a field of every configuration")
    add_limits(parser)
    group = parser.add_argument_group("parallel computation")
    add_batch(group)
    if not is_search:
        add_engine(group)
    return parser


def add_many(parser: argparse.ArgumentParser) -> None:
    """Add the options that control how many fits run, and where."""
    group = parser.add_argument_group("parallel computation")
    group.add_argument(
        "--seeds",
        metavar="N",
        default="1",
        help="number of fits of each image; the result is their consensus (default: 1)",
    )
    add_batch(group)
    add_engine(group)


def add_load(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--load",
        metavar="MODULE",
        action="append",
        default=[],
        help="Python module to import first, which registers methods or presets; may be repeated",
    )


def add_sets(group: argparse._ArgumentGroup, what: str) -> None:
    group.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        dest="sets",
        help=f"{what}, for example fit.steps=20; may be repeated",
    )


def add_batch(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--batch",
        metavar="N",
        default="auto",
        help="number of fits at once (default: auto, the fastest number that fits in memory)",
    )


def add_engine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--engine",
        metavar="NAME",
        default="local",
        help="where to compute: local (default), processes (a fit per CPU core), ray (a cluster)",
    )
    group.add_argument(
        "--workers",
        metavar="N",
        help="worker processes of --engine processes (default: one per core, limited by memory)",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="head node for --engine ray (default: $RAY_ADDRESS, or a new local cluster)",
    )


def make_settings() -> argparse.ArgumentParser:
    """Make the options that ``demo``, ``segment`` and ``evaluate`` share."""
    shared = argparse.ArgumentParser(add_help=False, parents=[make_output()])
    group = shared.add_argument_group("configuration")
    group.add_argument(
        "--preset",
        metavar="NAME",
        default=DEFAULT_PRESET,
        help=f"base configuration: {', '.join(PRESETS)} (default: {DEFAULT_PRESET})",
    )
    add_load(group)
    add_sets(group, "change a field of the preset")
    group.add_argument("--size", metavar="N", help="side of the network's input in pixels")
    group.add_argument("--target", metavar="RULE", help=f"rule that selects the target: {TARGETS}")
    group.add_argument("--seed", metavar="N", default="0", help="random seed (default: 0)")
    return shared


def make_output(live: bool = True) -> argparse.ArgumentParser:
    """Make the output options; ``live`` adds ``--plain``, for commands with a live display."""
    shared = argparse.ArgumentParser(add_help=False)
    group = shared.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="print only failures")
    group.add_argument("--json", action="store_true", help="print one JSON object per line")
    if live:
        group.add_argument("--plain", action="store_true", help="do not draw a live display")
    group.add_argument(
        "--no-cache", action="store_true", help="do not cache compiled programs on disk"
    )
    return shared
