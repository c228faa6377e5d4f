"""The files of one result: their names, and their writing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError, OutputError, reason_of
from s3net_jax.io import (
    Film,
    write_bytes,
    write_film,
    write_gray,
    write_labels,
    write_mask,
    write_nifti,
    write_picture,
    write_seg,
    write_stack,
)
from s3net_jax.masks import Segments
from s3net_jax.run.cases import Case, VolumeCase
from s3net_jax.run.inputs import Source
from s3net_jax.schema import is_result_name

__all__ = ["Draw", "output_paths", "remove_outdated", "write_outputs"]

Draw = Callable[[np.ndarray, np.ndarray, np.ndarray, str], PilImage.Image]
"""Draws an overlay from image (H, W, 3) uint8, labels (H, W), mask (H, W), name."""

_SUFFIXES = {"image": ".png", "stack": ".tif", "nifti": ".nii.gz", "dicom": ".nii.gz"}


def output_paths(out: Path, source: Source, seeds: int = 1, film: bool = False) -> dict[str, Path]:
    """Kind of result → its file: pictures for pictures, NIfTI for NIfTI and DICOM, TIFF for
    stacks. ``agreement`` only of several seeds, ``steps`` only with a ``film``."""
    suffix = _SUFFIXES[source.kind]
    kinds = ["labels", "mask", *(["agreement"] if seeds > 1 else [])]
    paths = {kind: out / f"{source.stem}.{kind}{suffix}" for kind in kinds}
    paths["overlay"] = out / f"{source.stem}.overlay.png"
    paths["history"] = out / f"{source.stem}.history.json"
    if film:
        paths["steps"] = out / f"{source.stem}.steps.png"
    return paths


def remove_outdated(out: Path, earlier: Iterable[str], names: Collection[str] = ()) -> None:
    """Delete the files of an ``earlier`` result that are not among ``names``: beside the new ones
    they would be those of another configuration, and beside a failure look like its result.

    Only names of results are deleted, in ``out`` itself, and links, not what they lead to. Of
    folders in their place only empty ones go.

    Raises:
      OutputError: one can't be deleted.
    """
    for name in earlier:
        if name in names or not is_result_name(name):
            continue
        path = out / name
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path} can't be deleted: {reason_of(error)}.") from None


def write_outputs(
    out: Path,
    source: Source,
    case: Case,
    whole: Segments,
    agreement: np.ndarray | None,
    history: bytes,
    film: Film | None,
    draw: Draw,
) -> tuple[dict[str, str], list[str]]:
    """Writes all results of one input.

    A DICOM series also becomes ``STEM.seg.dcm`` (DICOM SEG), if highdicom is there and the
    series has what the standard asks for.

    Args:
      out: folder.
      source, case: the input.
      whole: its result.
      agreement: in [0, 1], of several seeds.
      history: content of ``STEM.history.json``.
      film: the clusters through the steps, if they were recorded.
      draw: makes the overlay.

    Returns:
      Kind → file name; and notes on what could not be written.

    Raises:
      OutputError: something can't be written; what was written stays.
    """
    paths = output_paths(out, source, 1 if agreement is None else 2, film is not None)
    notes: list[str] = []
    if case.volume is None:
        write_labels(paths["labels"], whole.labels, case.resolution)
        write_mask(paths["mask"], whole.mask, case.resolution)
        if agreement is not None:
            write_gray(paths["agreement"], agreement, case.resolution)
    else:
        assert isinstance(case, VolumeCase)
        notes += _write_volume(out, source, case, whole, agreement, paths)
    sheets = [draw(p.image, p.labels, p.mask, p.name) for p in case.panels(whole)]
    write_picture(paths["overlay"], _below_one_another(sheets), effort=4)
    write_bytes(paths["history"], history)
    if film is not None:
        write_film(paths["steps"], film)
    return {kind: path.name for kind, path in paths.items()}, notes


def _write_volume(
    out: Path,
    source: Source,
    case: VolumeCase,
    whole: Segments,
    agreement: np.ndarray | None,
    paths: dict[str, Path],
) -> list[str]:
    volume = case.volume
    assert volume is not None
    small = np.uint8 if whole.count <= 256 else np.uint16
    labels = whole.labels.astype(small)
    if source.kind == "stack":
        sizes = case.resolution
        write_stack(paths["labels"], labels, sizes)
        write_stack(paths["mask"], whole.mask.astype(np.uint8) * np.uint8(255), sizes)
        if agreement is not None:
            write_stack(paths["agreement"], np.round(agreement * 255).astype(np.uint8), sizes)
        return []
    write_nifti(paths["labels"], case.view.back(labels), volume)
    write_nifti(paths["mask"], case.view.back(whole.mask.astype(np.uint8)), volume)
    if agreement is not None:
        write_nifti(paths["agreement"], case.view.back(agreement.astype(np.float32)), volume)
    if source.kind == "dicom":
        path = out / f"{source.stem}.seg.dcm"
        try:
            labels = case.view.back(whole.labels)
            notes = write_seg(path, case.view.back(whole.mask), labels, volume)
        except InputError as error:
            return [str(error)]
        paths["seg"] = path
        return notes
    return []


def _below_one_another(sheets: list[PilImage.Image]) -> PilImage.Image:
    if len(sheets) == 1:
        return sheets[0]
    width = max(sheet.width for sheet in sheets)
    joined = PilImage.new("RGB", (width, sum(sheet.height for sheet in sheets)), "white")
    top = 0
    for sheet in sheets:
        joined.paste(sheet, (0, top))
        top += sheet.height
    return joined
