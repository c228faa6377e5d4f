"""Segment the sample picture that comes with scikit-image: the command ``demo``."""

from __future__ import annotations

import argparse
import io
import os
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from s3net_jax.cli.segment import segment_paths
from s3net_jax.cli.session import parse_seed, read_config
from s3net_jax.errors import OutputError, UsageError
from s3net_jax.io import make_folder, read_regular, write_picture
from s3net_jax.presets import DEFAULT_PRESET, preset
from s3net_jax.run import ResultLog, Source, check_report, plan_files
from s3net_jax.text import escape_unseen

__all__ = ["run_demo", "write_demo_picture"]

_NAME = "glands.png"
_DESCRIPTION = (
    "colonic glands, stained brown for the protein FHL2 on blue-stained tissue (from "
    "scikit-image; Center for Microscopy and Molecular Imaging, no known copyright restrictions)."
)

# The glands are dark, have several colours and touch the border of the picture. These settings were
# chosen by inspecting the overlay of this picture: with the defaults of the presets, the target is
# the paler tissue between the glands.
_SETTINGS = ("segment.target=dark", "segment.drop_border=false")
_LOCAL_SETTINGS = ("segment.boundary_colors=1,1,1",)  # without effect on other boundaries


def run_demo(args: argparse.Namespace) -> int:
    """Run ``s3net demo``: write the picture, segment it and print the path of the overlay."""
    if not args.out:
        raise UsageError("No output folder is given: add --out DIR.")
    is_local = preset(args.preset or DEFAULT_PRESET).segment.boundary == "local"
    # Later settings win, so the user's come last.
    args.sets = [*_SETTINGS, *(_LOCAL_SETTINGS if is_local else ()), *args.sets]
    config, seed = read_config(args), parse_seed(args.seed)
    if not args.no_report:
        check_report(Path(args.out))  # the run replaces its own files, and must not replace others
    path = write_demo_picture(args.out)
    is_verbose = not (args.quiet or args.json)
    if is_verbose:
        print(f"{escape_unseen(str(path))}: {_DESCRIPTION}")
    code = segment_paths(args, [str(path)], config, seed, overwrite=True)
    if code == 0 and is_verbose:
        overlay = plan_files(path.parent, Source(path, path.stem)).locate("overlay")
        print(
            f"{escape_unseen(str(overlay))} shows the picture, its clusters and the outline of the "
            "target."
        )
    return code


def write_demo_picture(out: str | Path) -> Path:
    """Write the picture into ``out`` and return its path.

    Raises:
      OutputError: ``out`` cannot be written, or contains another picture with the same name, or
        results that are not from a demo.
    """
    from skimage import data

    folder = make_folder(out)
    path, pixels = folder / _NAME, data.immunohistochemistry()
    known = _is_demo_picture(path, pixels)
    if os.path.lexists(path) and not known:
        raise _make_error(f"{path} exists and is not the demo picture")
    log = ResultLog(folder / "results.jsonl")
    inputs = {os.path.abspath(str(record.get("input"))) for record in log.list_records()}
    if inputs - {os.path.abspath(path)}:
        raise _make_error(f"{out} contains results of other pictures")
    if not inputs:  # only files of a demo that was killed before it recorded its result are allowed
        ours = log.unfinished | ({"run.json"} if known else set())
        for other in (folder / "run.json", *sorted(folder.glob(f"{path.stem}.*"))):
            if other != path and os.path.lexists(other) and other.name not in ours:
                raise _make_error(f"{other} was not written by a demo")
    if not known:
        write_picture(path, PilImage.fromarray(pixels))
    return path


def _is_demo_picture(path: Path, pixels: np.ndarray) -> bool:
    try:
        with PilImage.open(io.BytesIO(read_regular(path)), formats=("PNG",)) as picture:
            return picture.size == pixels.shape[1::-1] and np.array_equal(
                np.asarray(picture), pixels
            )
    except Exception:  # decoders raise arbitrary errors on other data
        return False


def _make_error(reason: str) -> OutputError:
    return OutputError(f"{reason}: choose another output folder with --out.")
