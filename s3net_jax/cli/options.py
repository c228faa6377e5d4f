"""Add the options that several commands share to their parsers."""

from __future__ import annotations

import argparse

from s3net_jax.presets import DEFAULT_PRESET, PRESETS

__all__ = [
    "add_experiment",
    "add_image_options",
    "add_limits",
    "add_load",
    "add_many",
    "add_measures",
    "add_model",
    "add_out",
    "add_report",
    "add_retarget",
    "add_slices",
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
        "--one-network",
        action="store_true",
        help="train one network for all slices of a volume instead of one for each: much faster, "
        "and a label means the same in every slice",
    )
    group.add_argument(
        "--tile", metavar="N", help="cut larger images into overlapping tiles of N×N pixels"
    )


def add_slices(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--slices",
        metavar="A:B",
        help="slices of volumes to segment, numbered from 1, both included; A: or :B for an open "
        "end (default: all)",
    )


def add_measures(parser: argparse.ArgumentParser) -> None:
    """Add the options that control what is measured, and how outlines are exported."""
    group = parser.add_argument_group("measurements and exports (docs/measure.md)")
    group.add_argument(
        "--pixel-size",
        metavar="MM",
        help="size of a pixel in millimetres, for measures in mm: MM, X,Y or X,Y,Z "
        "(default: as recorded in DICOM, NIfTI and TIFF files)",
    )
    group.add_argument(
        "--measure-clusters",
        action="store_true",
        help="also measure every cluster, in measures_clusters.csv",
    )
    group.add_argument(
        "--instances",
        action="store_true",
        help="number the connected parts of the target in a label map, and measure each in "
        "measures_instances.csv",
    )
    group.add_argument(
        "--clusters",
        metavar="K",
        help="merge the most similar clusters until K are left (default: keep all)",
    )
    group.add_argument(
        "--export",
        metavar="FORMAT",
        help="also write outlines of the target as geojson (QuPath), coco (one file for the run) "
        "or imagej (ROI Manager); several are separated by commas",
    )
    group.add_argument(
        "--name",
        metavar="NAME",
        help="name of the target in DICOM SEG (default: the meaning of --code, or Target)",
    )
    group.add_argument(
        "--code",
        metavar="CODE",
        help="what the target is, in DICOM SEG: a name such as lung, liver or lesion, or "
        "SCHEME:VALUE:MEANING (docs/volumes.md)",
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
    if not is_search:
        group.add_argument(
            "--repeats",
            metavar="N",
            help="number of evaluations of each method, with other seeds; figures are their means",
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


def add_model(parser: argparse.ArgumentParser) -> None:
    """Add the option that applies a trained network."""
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="network to apply without training, such as the model.npz of an earlier run; its "
        "configuration is used unless --preset is given",
    )


def add_load(group: argparse._ActionsContainer) -> None:
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


def add_retarget(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``retarget`` to its parser."""
    parser.add_argument("folder", nargs="?", metavar="DIR", help="output folder of a run")
    group = parser.add_argument_group("what to do (exactly one)")
    group.add_argument(
        "--target",
        metavar="RULE",
        help=f"choose another target: {TARGETS}; or label:2,3 for clusters 2 and 3, label:2+3 to "
        "merge them, label:+4,-5 to add cluster 4 and remove cluster 5",
    )
    group.add_argument(
        "--targets",
        metavar="FILE",
        help="choose the target of each image from a CSV file with the columns image, target and, "
        "optionally, verdict",
    )
    group.add_argument(
        "--marks",
        metavar="PATH",
        help="correct masks with marks inside and outside the object: folder of pictures, GeoJSON "
        "or CSV files named like the images, or one CSV file (docs/correct.md)",
    )
    group.add_argument(
        "--undo",
        metavar="IMAGE",
        nargs="*",
        help="restore the results before their last change (default: of all images)",
    )
    group.add_argument(
        "--list",
        metavar="FOLDER",
        nargs="?",
        const="",
        help="list the labels of the clusters; with FOLDER, also draw them with numbers there",
    )
    group = parser.add_argument_group("images")
    group.add_argument(
        "--only",
        metavar="IMAGE",
        nargs="+",
        help="images to change, by file name or name of the result (default: all)",
    )
    group.add_argument(
        "--images",
        metavar="PATH",
        nargs="+",
        help="files and folders of the inputs, if they were moved since the run",
    )
    add_load(group)
    add_limits(parser)
    group = parser.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="print only failures")
    group.add_argument("--json", action="store_true", help="print one JSON object per line")


def make_settings() -> argparse.ArgumentParser:
    """Make the options that ``demo``, ``segment`` and ``evaluate`` share."""
    shared = argparse.ArgumentParser(add_help=False, parents=[make_output()])
    group = shared.add_argument_group("configuration")
    group.add_argument(
        "--preset",
        metavar="NAME",
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
