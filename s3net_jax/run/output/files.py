"""The files of one result: planned once, written, and removed when they are outdated."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from s3net_jax.errors import InputError, OutputError, get_reason
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
from s3net_jax.report import draw_overlay
from s3net_jax.run.cases import Case, VolumeCase
from s3net_jax.run.inputs import Source
from s3net_jax.schema import is_result_name

__all__ = ["Result", "ResultFiles", "plan_files", "remove_outdated", "write_files"]

_SUFFIXES = {"image": ".png", "stack": ".tif", "nifti": ".nii.gz", "dicom": ".nii.gz"}


@dataclass(frozen=True, eq=False)
class Result:
    """What one input's fits give together.

    Attributes:
      whole: labels, mask and target of the whole input.
      agreement: fraction of seeds that agree in each pixel, in [0, 1]; None for one seed.
      history: content of ``STEM.history.json``.
      film: the clusters through the steps, if they were recorded.
      notes: sentences a user should know.
    """

    whole: Segments
    agreement: np.ndarray | None
    history: bytes
    film: Film | None
    notes: list[str]


@dataclass(frozen=True)
class ResultFiles:
    """The files that one input's result may have, decided before the run begins.

    Attributes:
      folder: output folder.
      names: kind of result → file name, in the order of ``outputs`` in ``results.jsonl``.
    """

    folder: Path
    names: Mapping[str, str]

    @property
    def required(self) -> list[str]:
        """Names of the files without which the result is not complete.

        DICOM SEG needs highdicom and a series that has what the standard asks for; whether it can
        be written turns out only then.
        """
        return [name for kind, name in self.names.items() if kind != "seg"]

    def locate(self, kind: str) -> Path:
        """Return the path of the file of one kind."""
        return self.folder / self.names[kind]

    def select(self, written: Collection[str]) -> dict[str, str]:
        """Return kind → file name for the kinds that were written."""
        return {kind: name for kind, name in self.names.items() if kind in written}


def plan_files(folder: Path, source: Source, seeds: int = 1, film: bool = False) -> ResultFiles:
    """Decide which files the result of ``source`` may have.

    Pictures give pictures, TIFF stacks TIFF, NIfTI and DICOM NIfTI; a DICOM series also gives
    ``STEM.seg.dcm`` (DICOM SEG).

    Args:
      folder: output folder.
      source: the input.
      seeds: number of seeds; several give ``agreement``.
      film: whether label maps of the steps are recorded, which gives ``steps``.
    """
    suffix = _SUFFIXES[source.kind]
    kinds = {"labels": suffix, "mask": suffix}
    if seeds > 1:
        kinds["agreement"] = suffix
    kinds |= {"overlay": ".png", "history": ".json"}
    if film:
        kinds["steps"] = ".png"
    if source.kind == "dicom":
        kinds["seg"] = ".dcm"
    return ResultFiles(folder, {kind: f"{source.stem}.{kind}{end}" for kind, end in kinds.items()})


def remove_outdated(folder: Path, earlier: Iterable[str], names: Collection[str] = ()) -> None:
    """Delete the files of an ``earlier`` result that are not among ``names``.

    Beside the new files they would be those of another configuration, and beside a failure they
    would look like its result. Only names of results are deleted, in ``folder`` itself, and links,
    not what they lead to. Folders in their place are deleted only if they are empty.

    Raises:
      OutputError: one can't be deleted.
    """
    for name in earlier:
        if name in names or not is_result_name(name):
            continue
        path = folder / name
        try:
            if path.is_dir() and not path.is_symlink():
                path.rmdir()
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path} can't be deleted: {get_reason(error)}.") from None


def write_files(files: ResultFiles, case: Case, result: Result) -> tuple[dict[str, str], list[str]]:
    """Write all files of one result.

    Args:
      files: where they go.
      case: the input.
      result: what is written.

    Returns:
      Kind → file name of what was written; and notes on what could not be written.

    Raises:
      OutputError: something can't be written; what was written stays.
    """
    written = set(files.names) - {"seg"}
    notes: list[str] = []
    if isinstance(case, VolumeCase):
        _write_volume(files, case, result)
        if "seg" in files.names:
            try:
                notes += _write_seg(files, case, result.whole)
                written.add("seg")
            except InputError as error:
                notes.append(str(error))
    else:
        _write_pictures(files, case, result)
    sheets = [draw_overlay(p.image, p.labels, p.mask, p.name) for p in case.panels(result.whole)]
    write_picture(files.locate("overlay"), _stack_sheets(sheets), effort=4)
    write_bytes(files.locate("history"), result.history)
    if result.film is None:
        written.discard("steps")
    else:
        write_film(files.locate("steps"), result.film)
    return files.select(written), notes


def _write_pictures(files: ResultFiles, case: Case, result: Result) -> None:
    write_labels(files.locate("labels"), result.whole.labels, case.resolution)
    write_mask(files.locate("mask"), result.whole.mask, case.resolution)
    if result.agreement is not None:
        write_gray(files.locate("agreement"), result.agreement, case.resolution)


def _write_volume(files: ResultFiles, case: VolumeCase, result: Result) -> None:
    volume, whole, agreement = case.volume, result.whole, result.agreement
    assert volume is not None
    small = np.uint8 if whole.count <= 256 else np.uint16
    labels, mask = whole.labels.astype(small), whole.mask.astype(np.uint8)
    if files.names["labels"].endswith(_SUFFIXES["stack"]):
        sizes = case.resolution
        write_stack(files.locate("labels"), labels, sizes)
        write_stack(files.locate("mask"), mask * np.uint8(255), sizes)
        if agreement is not None:
            shares = np.round(agreement * 255).astype(np.uint8)
            write_stack(files.locate("agreement"), shares, sizes)
        return
    write_nifti(files.locate("labels"), case.view.restore(labels), volume)
    write_nifti(files.locate("mask"), case.view.restore(mask), volume)
    if agreement is not None:
        shares = case.view.restore(agreement.astype(np.float32))
        write_nifti(files.locate("agreement"), shares, volume)


def _write_seg(files: ResultFiles, case: VolumeCase, whole: Segments) -> list[str]:
    """Write DICOM SEG and return notes on it; raises :class:`InputError` if it can't be made."""
    assert case.volume is not None
    mask, labels = case.view.restore(whole.mask), case.view.restore(whole.labels)
    return write_seg(files.locate("seg"), mask, labels, case.volume)


def _stack_sheets(sheets: list[PilImage.Image]) -> PilImage.Image:
    """Put pictures below one another."""
    if len(sheets) == 1:
        return sheets[0]
    width = max(sheet.width for sheet in sheets)
    joined = PilImage.new("RGB", (width, sum(sheet.height for sheet in sheets)), "white")
    top = 0
    for sheet in sheets:
        joined.paste(sheet, (0, top))
        top += sheet.height
    return joined
