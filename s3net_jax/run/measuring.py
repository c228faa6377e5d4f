"""Measure the result of an input: its target, clusters and instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from s3net_jax.errors import InputError, suggest_nearest
from s3net_jax.io import Resolution, SliceView, Volume
from s3net_jax.masks import Segments, label_instances
from s3net_jax.measure import (
    Row,
    Spacing,
    find_picture_spacing,
    find_volume_spacing,
    measure_regions,
)
from s3net_jax.run.cases import Case, VolumeCase
from s3net_jax.run.settings import OutputOptions

__all__ = ["Measured", "Subject", "hide_slices", "make_subject", "measure_result"]

_MOST = 65_535  # largest label that PNG and TIFF files of label maps hold


@dataclass(frozen=True, eq=False)
class Subject:
    """An image or volume, with what is needed to measure regions of it.

    Attributes:
      values: (H, W, 3) uint8 colours, or numbers or colours of a volume, (slices, H, W, ...).
      spacing: distances between pixels, or None.
      quantity: ``hu`` for Hounsfield units, else ``value``.
    """

    values: np.ndarray
    spacing: Spacing | None
    quantity: str = "value"

    def measure_parts(self, of: str, whole: Segments) -> Row | list[Row]:
        """Measure the ``target``, the ``clusters`` or the ``instances`` of a result.

        Returns:
          A row for the target, and a list of rows for clusters and instances.

        Raises:
          ValueError: ``of`` is another word.
        """
        if of == "target":
            (row,) = self.measure(whole.mask)
            return _drop_label(row)
        if of == "clusters":
            rows = self.measure(whole.labels)
            return [
                {"cluster": row["label"], "is_target": int(row["label"] in whole.target)}
                | _drop_label(row)
                for row in rows
            ]
        if of == "instances":
            return self.measure_instances(label_instances(whole.mask))
        known = ["target", "clusters", "instances"]
        raise ValueError(f"of can't be {of!r}.{suggest_nearest(str(of), known)}")

    def measure_instances(self, labels: np.ndarray) -> list[Row]:
        """Measure the instances in a label map that is 0 outside."""
        rows = self.measure(labels, has_background=True)
        return [{"instance": row["label"]} | _drop_label(row) for row in rows]

    def measure(self, labels: np.ndarray, has_background: bool = False) -> list[Row]:
        """Measure regions, as :func:`s3net_jax.measure.measure_regions`.

        A volume of one slice, such as a radiograph, is measured as an image: it has an area.
        """
        values, spacing = self.values, self.spacing
        if labels.ndim == 3 and len(labels) == 1:
            labels, values = labels[0], values[0]
            spacing = None if spacing is None else spacing.flatten()
        return measure_regions(
            labels, values, spacing, quantity=self.quantity, has_background=has_background
        )


@dataclass(frozen=True, eq=False)
class Measured:
    """Measures of one result.

    Attributes:
      target: measures of the target.
      clusters: a row for each cluster, if they were asked for.
      instances: a row for each instance, if they were asked for.
      instance_map: label map of the instances, 0 outside the target; None if not asked for.
      notes: sentences for the user.
    """

    target: Row
    clusters: list[Row] | None
    instances: list[Row] | None
    instance_map: np.ndarray | None
    notes: list[str]


def make_subject(
    values: np.ndarray,
    resolution: Resolution | None,
    pixel_size: Sequence[float] | None,
    view: SliceView | None = None,
) -> Subject:
    """Collect what is needed to measure a picture, or the volume of ``view``.

    Args:
      values: colours or numbers to measure.
      resolution: resolution that a picture or stack records, or None.
      pixel_size: (x, y[, z]) in millimetres, instead of what the file records; or None.
      view: volume as slices, or None for a picture.
    """
    if view is None:
        return Subject(values, find_picture_spacing(resolution, pixel_size))
    spacing = find_volume_spacing(view, resolution, pixel_size)
    return Subject(values, spacing, "hu" if _has_hounsfield(view.volume) else "value")


def measure_result(case: Case, whole: Segments, options: OutputOptions, name: str) -> Measured:
    """Measure a result.

    Args:
      case: opened input.
      whole: its labels, mask and target.
      options: what is measured.
      name: name of the input in messages.

    Raises:
      InputError: the target has more instances than a label map holds.
    """
    view = case.view if isinstance(case, VolumeCase) else None
    subject = make_subject(case.get_values(), case.resolution, options.pixel_size, view)
    target = cast(Row, subject.measure_parts("target", whole))
    clusters = None
    if options.measure_clusters:
        segmented = case.chosen if isinstance(case, VolumeCase) else None
        clusters = cast(list[Row], subject.measure_parts("clusters", hide_slices(whole, segmented)))
    instances, labels = None, None
    if options.instances:
        labels = label_instances(whole.mask)
        if int(labels.max()) > _MOST:
            raise InputError(
                f"{name} has {int(labels.max()):,} instances, more than the {_MOST:,} that a label "
                "map holds: raise segment.min_island, or omit --instances."
            )
        instances = subject.measure_instances(labels)
    notes = [] if view is None else _note_exports(view.volume, options)
    return Measured(target, clusters, instances, labels, notes)


def hide_slices(whole: Segments, segmented: range | None) -> Segments:
    """Give slices that are not segmented label −1, which is not measured; None keeps all."""
    if segmented is None or len(segmented) == len(whole.labels):
        return whole
    hidden = ~np.isin(np.arange(len(whole.labels)), segmented)
    labels = np.where(hidden[:, None, None], np.int32(-1), whole.labels)
    return replace(whole, labels=labels)


def _drop_label(row: Row) -> Row:
    return {name: value for name, value in row.items() if name != "label"}


def _has_hounsfield(volume: Volume) -> bool:
    """Return whether the numbers of a volume are Hounsfield units: those of a CT in DICOM."""
    if volume.form != "dicom" or not volume.origin or volume.voxels.ndim != 3:
        return False
    data = volume.origin[0]
    modality, kind = (str(data.get(tag) or "").strip() for tag in ("Modality", "RescaleType"))
    return modality == "CT" and kind in ("", "HU")


def _note_exports(volume: Volume, options: OutputOptions) -> list[str]:
    """Note which formats can't hold the outlines of a volume.

    The planes of NIfTI and DICOM have their own order and directions in every viewer, so that
    outlines in pixels would not be where the user expects them.
    """
    pages = () if volume.form != "stack" else ("geojson", "imagej")
    missing = [name for name in options.export if name not in pages]
    if not missing:
        return []
    formats = " and ".join(missing)
    return [f"{volume.name} is a volume and is not exported as {formats}; use its mask file."]
