"""Find the file that a volume layer was read from, and how its axes are turned in the layer."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io import format_window
from s3net_jax.masks import Segments
from s3net_jax.napari.source import Cut
from s3net_jax.presets import DEFAULT_PRESET, preset
from s3net_jax.run import Source, VolumeCase, discover, open_case

__all__ = ["Layout", "Origin", "find_layout", "find_origin"]

_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".img", ".dcm")
"""Names of files that have a geometry; a file of another name must be DICOM to count."""

_TOLERANCE = 1e-4
"""Largest difference of equal voxels, as a fraction of the range of the volume. Readers keep
float32 or float64, which differ by 1e-7, and a step of 12-bit values is 2e-4. Not varied."""

_SAMPLE = 1000  # voxels that are compared before all are: other layouts differ in most of them


@dataclass(frozen=True)
class Layout:
    """How the axes of a file are arranged in a layer.

    Attributes:
      order: axis of the file for each axis of the layer.
      flips: whether each axis of the layer runs backwards.
    """

    order: tuple[int, ...]
    flips: tuple[bool, ...]

    def apply(self, voxels: np.ndarray) -> np.ndarray:
        """Arrange voxels of the file, (X, Y, Z) or (X, Y, Z, 3), as in the layer."""
        rest = tuple(range(3, voxels.ndim))
        return np.transpose(voxels, (*self.order, *rest))[self._reverse()]

    def restore(self, part: np.ndarray) -> np.ndarray:
        """Arrange an array of the layer, (Z, H, W), as in the file."""
        return np.transpose(part[self._reverse()], np.argsort(self.order))

    def _reverse(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)


@dataclass(frozen=True, eq=False)
class Origin:
    """The file or folder of a layer.

    Attributes:
      source: the input.
      case: opened volume.
      layout: arrangement of its axes in the layer.
    """

    source: Source
    case: VolumeCase
    layout: Layout

    def place(self, whole: Segments) -> Segments:
        """Arrange a result of the layer, (Z, H, W), as slices of the case."""
        slices = self.case.view.get_slices
        labels, mask = (slices(self.layout.restore(one)) for one in (whole.labels, whole.mask))
        return Segments(labels, mask, whole.target)


def find_origin(cut: Cut) -> Origin | None:
    """Find the volume in a file whose voxels the part has; plugins turn the axes as they like.

    A DICOM file is looked for with the others of its folder.

    Args:
      cut: a volume.

    Returns:
      The origin; None if the layer was not read from NIfTI or DICOM.

    Raises:
      InputError: the file can't be read, or has other voxels than the part.
    """
    if cut.path is None:
        return None
    path, is_known = Path(cut.path), cut.path.lower().endswith(_SUFFIXES)
    sources = list(_list_sources(path))
    if not sources and not is_known:
        return None
    config, reason = preset(DEFAULT_PRESET), ""
    if cut.window is not None:
        config = config.replace(input={"window": format_window(cut.window)})
    for source in sources:
        try:
            case = open_case(source, config)
        except InputError as error:
            reason = reason or str(error)
            continue
        assert isinstance(case, VolumeCase) and case.volume is not None
        layout = find_layout(cut.values, case.volume.voxels)
        if layout is not None:
            return Origin(source, case, layout)
    raise InputError(reason or f"{path} has other voxels than the layer {cut.name}.")


def _list_sources(path: Path) -> Iterator[Source]:
    """Yield the volumes with a geometry at a path, then those in the folder of a DICOM file."""
    found = [one for one in discover([path]) if one.kind in ("nifti", "dicom")]
    yield from found
    if path.is_file() and any(one.kind == "dicom" for one in found):
        yield from (one for one in discover([path.parent]) if one.kind == "dicom")


def find_layout(values: np.ndarray, voxels: np.ndarray) -> Layout | None:
    """Find how the axes of a file are arranged in a layer.

    Values may differ by a scale and an offset, because some plugins show the stored numbers.

    Args:
      values: (Z, H, W) or (Z, H, W, 3), the layer.
      voxels: (X, Y, Z) or (X, Y, Z, 3), the file.

    Returns:
      The layout, the one with the fewest flips if several fit; None if none does.
    """
    if values.ndim != voxels.ndim or values.size != voxels.size:
        return None
    layer, file = _normalize(values), _normalize(voxels)
    if layer is None or file is None:
        return None
    random = np.random.default_rng(0)
    places = tuple(random.integers(0, side, _SAMPLE) for side in layer.shape)
    flips = sorted(itertools.product((False, True), repeat=3), key=sum)
    for flip, order in itertools.product(flips, itertools.permutations(range(3))):
        layout = Layout(order, flip)
        turned = layout.apply(file)
        if turned.shape != layer.shape or not _is_equal(layer[places], turned[places]):
            continue
        if all(_is_equal(one, other) for one, other in zip(layer, turned, strict=True)):
            return layout
    return None


def _normalize(values: np.ndarray) -> np.ndarray | None:
    """Scale values to [0, 1], NaN where they are not finite; return None if all are equal."""
    values = np.where(np.isfinite(values), values, np.nan).astype(np.float32)
    low, high = np.nanmin(values), np.nanmax(values)
    return None if not high > low else (values - low) / (high - low)


def _is_equal(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether all voxels agree; NaN, which readers replace, agrees with everything."""
    return bool((np.isnan(one) | np.isnan(other) | (np.abs(one - other) <= _TOLERANCE)).all())
