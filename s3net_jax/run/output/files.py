"""Plan and write the files of one result, and remove outdated ones."""

from __future__ import annotations

import json
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
from s3net_jax.masks import Confidence, Segments
from s3net_jax.measure import encode_geojson, encode_rois, round_row, trace_polygons
from s3net_jax.report import draw_overlay
from s3net_jax.run.cases import Case, VolumeCase
from s3net_jax.run.inputs import Source
from s3net_jax.run.measuring import Measured
from s3net_jax.run.settings import OutputOptions
from s3net_jax.schema import is_result_name

__all__ = ["Result", "ResultFiles", "plan_files", "remove_outdated", "write_files"]

_SUFFIXES = {"image": ".png", "stack": ".tif", "nifti": ".nii.gz", "dicom": ".nii.gz"}


@dataclass(frozen=True, eq=False)
class Result:
    """The joint result of all fits of one input.

    Attributes:
      whole: labels, mask and target of the whole input.
      agreement: fraction of seeds that agree at each pixel, in [0, 1]; None for one seed.
      history: content of ``STEM.history.json``, or None if that file stays as it is.
      film: clusters at several steps, or None if they were not recorded.
      notes: sentences for the user.
      measured: measures of the target and its parts, or None if nothing is measured.
      confidence: estimate of how good the mask is, or None if it is not estimated.
      clusters: label map without the target, if ``whole.labels`` contains the target as a separate
        cluster; otherwise None.
      output: name and code of the target in DICOM SEG; None for the defaults.
    """

    whole: Segments
    agreement: np.ndarray | None
    history: bytes | None
    film: Film | None
    notes: list[str]
    measured: Measured | None = None
    confidence: Confidence | None = None
    clusters: np.ndarray | None = None
    output: OutputOptions | None = None


@dataclass(frozen=True)
class ResultFiles:
    """The files that the result of one input can have, planned before the run starts.

    Attributes:
      folder: output folder.
      names: file name of each kind of result, in the order of ``outputs`` in ``results.jsonl``.
    """

    folder: Path
    names: Mapping[str, str]

    @property
    def required(self) -> list[str]:
        """Names of the files that a complete result must have.

        DICOM SEG is optional: it needs highdicom and a series with all attributes that the standard
        requires, which is known only on writing. ``clusters`` is missing if it equals ``labels``,
        and in results of earlier versions.
        """
        return [name for kind, name in self.names.items() if kind not in ("seg", "clusters")]

    def locate(self, kind: str) -> Path:
        """Return the path of the file of one kind."""
        return self.folder / self.names[kind]

    def select(self, written: Collection[str]) -> dict[str, str]:
        """Return the file name of each kind in ``written``."""
        return {kind: name for kind, name in self.names.items() if kind in written}


def plan_files(
    folder: Path,
    source: Source,
    seeds: int = 1,
    film: bool = False,
    output: OutputOptions | None = None,
    clusters: bool = False,
) -> ResultFiles:
    """Plan the files that the result of ``source`` can have.

    The results of pictures are PNG, those of TIFF stacks TIFF, those of NIfTI and DICOM NIfTI. A
    DICOM series also gives ``STEM.seg.dcm`` (DICOM SEG).

    Args:
      folder: output folder.
      source: input.
      seeds: number of seeds; several seeds add ``agreement``.
      film: whether label maps of the steps are recorded, which adds ``steps``.
      output: measures and further files to write. ``instances`` is a label map, ``measures`` has
        the measures of clusters and instances, and ``outlines`` (GeoJSON) and ``rois`` (ImageJ)
        are only written for pictures and TIFF stacks.
      clusters: whether label maps can contain the target as a separate cluster, which adds
        ``clusters``, the label map without it.
    """
    suffix = _SUFFIXES[source.kind]
    kinds = {"labels": suffix, "mask": suffix}
    if seeds > 1:
        kinds["agreement"] = suffix
    if clusters:
        kinds["clusters"] = suffix
    kinds |= {"overlay": ".png", "history": ".json"}
    if film:
        kinds["steps"] = ".png"
    if output is not None:
        if output.instances:
            kinds["instances"] = suffix
        if output.instances or output.measure_clusters:
            kinds["measures"] = ".json"
        if source.kind in ("image", "stack"):
            formats = {"geojson": ("outlines", ".geojson"), "imagej": ("rois", ".zip")}
            kinds |= dict(formats[name] for name in output.export if name in formats)
    if source.kind == "dicom":
        kinds["seg"] = ".dcm"
    return ResultFiles(folder, {kind: f"{source.stem}.{kind}{end}" for kind, end in kinds.items()})


def remove_outdated(folder: Path, earlier: Iterable[str], names: Collection[str] = ()) -> None:
    """Delete the files of an earlier result that a new result does not replace.

    Otherwise files of two configurations would be mixed, or files would look like the result of an
    input that failed. Deletes only names of results directly in ``folder``; deletes links, not
    their targets, and folders only if they are empty.

    Args:
      folder: output folder.
      earlier: file names of the earlier result.
      names: file names of the new result, which are kept.

    Raises:
      OutputError: a file can't be deleted.
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
            raise OutputError(
                f"{path} can't be deleted: {get_reason(error)}. Delete it and repeat the command."
            ) from None


def write_files(files: ResultFiles, case: Case, result: Result) -> tuple[dict[str, str], list[str]]:
    """Write all files of one result.

    Args:
      files: planned files.
      case: opened input.
      result: result to write.

    Returns:
      ``(written, notes)``: the file name of each kind that was written, and notes on a DICOM SEG
      that could not be made.

    Raises:
      OutputError: a file can't be written; files written before it remain.
    """
    written = set(files.names) - {"seg"}
    notes: list[str] = []
    if isinstance(case, VolumeCase):
        _write_volume(files, case, result)
        if "seg" in files.names:
            try:
                notes += _write_seg(files, case, result)
                written.add("seg")
            except InputError as error:
                notes.append(str(error))
    else:
        _write_pictures(files, case, result)
    check = result.confidence is not None and result.confidence.check
    panels = case.panels(result.whole)
    sheets = [draw_overlay(p.image, p.labels, p.mask, p.name, check) for p in panels]
    write_picture(files.locate("overlay"), _stack_sheets(sheets), effort=4)
    if result.history is None:
        written.discard("history")
    else:
        write_bytes(files.locate("history"), result.history)
    if result.measured is not None:
        _write_measured(files, case, result.whole.mask, result.measured)
    if result.film is None:
        written.discard("steps")
    else:
        write_film(files.locate("steps"), result.film)
    if result.clusters is None:
        written.discard("clusters")
    if result.agreement is None:
        written.discard("agreement")
    return files.select(written), notes


def _write_pictures(files: ResultFiles, case: Case, result: Result) -> None:
    write_labels(files.locate("labels"), result.whole.labels, case.resolution)
    write_mask(files.locate("mask"), result.whole.mask, case.resolution)
    if result.clusters is not None:
        write_labels(files.locate("clusters"), result.clusters, case.resolution)
    if result.agreement is not None:
        write_gray(files.locate("agreement"), result.agreement, case.resolution)


def _write_volume(files: ResultFiles, case: VolumeCase, result: Result) -> None:
    volume, whole, agreement = case.volume, result.whole, result.agreement
    assert volume is not None
    maps = {"labels": _shrink_labels(whole.labels)}
    if result.clusters is not None:
        maps["clusters"] = _shrink_labels(result.clusters)
    mask = whole.mask.astype(np.uint8)
    if files.names["labels"].endswith(_SUFFIXES["stack"]):
        sizes = case.resolution
        for kind, labels in maps.items():
            write_stack(files.locate(kind), labels, sizes)
        write_stack(files.locate("mask"), mask * np.uint8(255), sizes)
        if agreement is not None:
            shares = np.round(agreement * 255).astype(np.uint8)
            write_stack(files.locate("agreement"), shares, sizes)
        return
    for kind, labels in maps.items():
        write_nifti(files.locate(kind), case.view.restore(labels), volume)
    write_nifti(files.locate("mask"), case.view.restore(mask), volume)
    if agreement is not None:
        shares = case.view.restore(agreement.astype(np.float32))
        write_nifti(files.locate("agreement"), shares, volume)


def _write_measured(files: ResultFiles, case: Case, mask: np.ndarray, measured: Measured) -> None:
    """Write the instances, the measures of parts, and the outlines that are planned."""
    instances = measured.instance_map
    if instances is not None:
        _write_instances(files.locate("instances"), case, instances)
    if "measures" in files.names:
        tables = {"clusters": measured.clusters, "instances": measured.instances}
        rows = {k: list(map(round_row, found)) for k, found in tables.items() if found is not None}
        write_bytes(files.locate("measures"), json.dumps(rows, allow_nan=False).encode() + b"\n")
    if not {"outlines", "rois"} & files.names.keys():
        return
    if instances is None:
        objects = [mask] if mask.any() else []
    else:
        objects = [instances == number for number in range(1, int(instances.max()) + 1)]
    pages = [one if one.ndim == 3 else one[None] for one in objects]
    traced = [[trace_polygons(page) for page in one] for one in pages]
    if "outlines" in files.names:
        write_bytes(files.locate("outlines"), encode_geojson(traced))
    if "rois" in files.names:
        write_bytes(files.locate("rois"), encode_rois(traced))


def _write_instances(path: Path, case: Case, instances: np.ndarray) -> None:
    if not isinstance(case, VolumeCase):
        write_labels(path, instances, case.resolution)
        return
    small = instances.astype(np.uint8 if instances.max() < 256 else np.uint16)
    if path.name.endswith(_SUFFIXES["stack"]):
        write_stack(path, small, case.resolution)
    else:
        assert case.volume is not None
        write_nifti(path, case.view.restore(small), case.volume)


def _shrink_labels(labels: np.ndarray) -> np.ndarray:
    """Store labels in as few bytes as they need."""
    return labels.astype(np.uint8 if labels.max() < 256 else np.uint16)


def _write_seg(files: ResultFiles, case: VolumeCase, result: Result) -> list[str]:
    """Write DICOM SEG and return notes; raise :class:`InputError` if it can't be made."""
    assert case.volume is not None
    whole, output = result.whole, result.output or OutputOptions()
    mask, labels = case.view.restore(whole.mask), case.view.restore(whole.labels)
    name, code = output.segment_name, output.segment_code
    return write_seg(files.locate("seg"), mask, labels, case.volume, name, code)


def _stack_sheets(sheets: list[PilImage.Image]) -> PilImage.Image:
    """Stack pictures vertically."""
    if len(sheets) == 1:
        return sheets[0]
    width = max(sheet.width for sheet in sheets)
    joined = PilImage.new("RGB", (width, sum(sheet.height for sheet in sheets)), "white")
    top = 0
    for sheet in sheets:
        joined.paste(sheet, (0, top))
        top += sheet.height
    return joined
