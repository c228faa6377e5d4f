"""Draw the card of one result from its files, without its input, which may have been moved."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError, get_reason
from s3net_jax.io import (
    SliceView,
    Volume,
    is_nifti,
    read_nifti,
    read_regular,
    read_stack,
    suspend_pixel_limit,
)
from s3net_jax.report import Card, Markup, Pixels, Sizes, build_card, crop_input
from s3net_jax.run.arrays import read_result
from s3net_jax.run.shown import choose_shown_slices
from s3net_jax.schema import ResultRecord
from s3net_jax.version import get_package_version

__all__ = ["draw_card", "get_expected", "make_key"]

_DIRECTIONS = ("axial", "coronal", "sagittal")


def get_expected(record: ResultRecord) -> tuple[float | None, str]:
    """Return the expected DSC in [0, 1] and why to check the result; None and "" without them."""
    return record.get("expected_dsc"), "to be checked" if record.get("check") else ""


def make_key(record: ResultRecord, sizes: Sizes) -> str:
    """Make the key of a card, which changes with everything that the card shows."""
    parts = [get_package_version(), record, vars(sizes)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def draw_card(folder: Path, record: ResultRecord, axis: str, sizes: Sizes) -> Markup:
    """Draw the card of one result; files that can't be read are named on it.

    Args:
      folder: output folder.
      record: record of the result.
      axis: ``input.axis`` of the run.
      sizes: sizes of what the card contains.
    """
    notes = list(record.get("notes", []))
    found = _Found()
    try:
        found = _read_files(folder, record, axis)
    except InputError as error:
        notes.append(str(error))
    expected, check = get_expected(record)
    outputs = record.get("outputs", {})
    card = Card(
        record["stem"],
        _identify(record),
        outputs.get("overlay", ""),
        record.get("target", []) if found.target is None else found.target,
        found.shares,
        record.get("area_fraction", 0.0),
        expected,
        check,
        [*_list_facts(record, expected), *([found.where] if found.where else [])],
        notes,
    )
    return build_card(card, found.pixels, sizes)


def _identify(record: ResultRecord) -> str:
    """Identify a result, so that marks of a person are not kept for another result of the input."""
    outputs, files = record.get("outputs", {}), record.get("files", {})
    parts = [record["stem"], [files[name]["sha256"] for name in outputs.values() if name in files]]
    return hashlib.sha256(json.dumps(parts if files else record).encode()).hexdigest()[:16]


def _list_facts(record: ResultRecord, expected: float | None) -> list[str]:
    facts = [] if expected is None else [f"expected DSC {expected:.2f}"]
    what = "volume" if "depth" in record else "image"
    share = 100 * record.get("area_fraction", 0.0)
    facts.append(f"target {share:.1f} % of the {what}" if record.get("area") else "no target")
    measures = cast(Mapping[str, Any], record).get("measures")
    for name, unit in (("area_mm2", "mm²"), ("volume_ml", "ml")):
        value = measures.get(name) if isinstance(measures, dict) else None
        if isinstance(value, (int, float)) and math.isfinite(value):
            facts.append(f"{value:,.4g} {unit}")
    count = record.get("labels", 0)
    facts.append("1 cluster" if count == 1 else f"{count} clusters")
    if "agreement" in record:
        facts.append(f"seeds agree on {100 * record.get('agreement', 0.0):.0f} %")
    return facts


@dataclass(frozen=True, eq=False)
class _Found:
    """What the files of a result show.

    Attributes:
      pixels: arrays to show, or None.
      shares: fraction of the input that each label covers.
      target: labels that the mask consists of, or None for those of the record.
      where: name of the slice that is shown, or "".
    """

    pixels: Pixels | None = None
    shares: Sequence[float] = ()
    target: Sequence[int] | None = None
    where: str = ""


def _read_files(folder: Path, record: ResultRecord, axis: str) -> _Found:
    """Read the files of a result.

    The clusters to pick from are those without the target (``clusters``) if the result has them,
    since a target that was drawn apart from the clusters is a label of its own in ``labels``.

    Raises:
      InputError: a file can't be read or belongs to another image.
    """
    outputs = record.get("outputs", {})
    shape = record.get("height", 0), record.get("width", 0)
    if not {"labels", "mask", "overlay"} <= outputs.keys() or not all(shape):
        return _Found()
    paths = {kind: folder / name for kind, name in outputs.items()}
    labels_path = paths.get("clusters", paths["labels"])
    pictures = crop_input(_read_overlay(paths["overlay"]), shape)
    if "depth" in record:
        found = _read_slice(labels_path, paths["mask"], record, axis, pictures)
    else:
        labels = read_result(labels_path, shape)
        mask = read_result(paths["mask"], shape) > 0
        pixels = Pixels(pictures[0], mask, labels) if pictures else None
        found = _Found(pixels, _measure_shares(labels), _find_covered(labels, mask))
    return found if "clusters" in outputs else replace(found, target=None)


def _measure_shares(labels: np.ndarray) -> list[float]:
    return (np.bincount(labels.ravel()) / labels.size).tolist()


def _find_covered(labels: np.ndarray, mask: np.ndarray) -> list[int]:
    """Return the labels of which the mask covers more than half."""
    areas = np.bincount(labels.ravel())
    inside = np.bincount(labels[mask], minlength=len(areas))
    return np.flatnonzero(2 * inside > areas).tolist()


def _read_overlay(path: Path) -> PilImage.Image:
    try:
        content = io.BytesIO(read_regular(path))
        with suspend_pixel_limit(), PilImage.open(content, formats=("PNG",)) as picture:
            return picture.convert("RGB")
    except Exception as error:  # decoders raise any kind of exception on broken data
        reason = f" ({get_reason(error)})" if isinstance(error, OSError) else ""
        raise InputError(f"{path} can't be read{reason}: repeat the command.") from None


def _read_slice(
    labels_path: Path,
    mask_path: Path,
    record: ResultRecord,
    axis: str,
    pictures: list[PilImage.Image],
) -> _Found:
    """Read the slice in the middle of those that the overlay shows."""
    volume, masks = _read_volume(labels_path), _read_volume(mask_path).voxels > 0
    whole = volume.voxels.astype(np.int32)
    if masks.shape != whole.shape:
        raise InputError(f"{mask_path} does not match {labels_path}: repeat the command.")
    found = _Found(None, _measure_shares(whole), _find_covered(whole, masks))
    if not pictures:
        return found
    middle = len(pictures) // 2
    shape = record.get("depth", 0), record.get("height", 0), record.get("width", 0)
    view = _find_view(volume, record.get("input", ""), axis, shape)
    if view is not None:
        labels, mask = view.get_slices(whole), view.get_slices(masks)
        # The overlay leaves out slices of one value, of which masks know nothing.
        first, last = record.get("slices", (1, shape[0]))
        shown = choose_shown_slices(mask, range(first - 1, last))
        if len(shown) == len(pictures):
            n = shown[middle]
            pixels = Pixels(pictures[middle], mask[n], labels[n])
            return replace(found, pixels=pixels, where=f"slice {n + 1} of {shape[0]}")
    empty = np.zeros(shape[1:], bool)
    return replace(found, pixels=Pixels(pictures[middle], empty, None))


def _read_volume(path: Path) -> Volume:
    return read_nifti(path) if is_nifti(path) else read_stack(path)


def _find_view(
    volume: Volume, source: str, axis: str, shape: tuple[int, int, int]
) -> SliceView | None:
    """Find the direction of the slices of a run in its label map.

    A NIfTI label map has the grid and header of its input. That of a DICOM series does not say in
    which direction the series was acquired, so the direction must follow from the shape.

    Args:
      volume: label map.
      source: path of the input.
      axis: ``input.axis`` of the run.
      shape: (slices, H, W) of the run.

    Returns:
      The view, or None if the direction can't be determined.
    """
    axes: list[str] = [axis]
    if volume.affine is not None and axis == "auto" and not is_nifti(Path(source)):
        axes = list(_DIRECTIONS)
    found = []
    for name in axes:
        try:
            view = SliceView(volume, cast(Literal["auto", "axial"], name))
        except InputError:
            continue
        if view.shape == shape:
            found.append(view)
    return found[0] if len(found) == 1 else None
