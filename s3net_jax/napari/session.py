"""Choose, correct and save the target of one result: what pictures and volumes share."""

from __future__ import annotations

import abc
import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from s3net_jax.errors import InputError, OutputError
from s3net_jax.io import Resolution, make_folder
from s3net_jax.napari.source import Cut
from s3net_jax.run import Segmentation, VolumeSegmentation

__all__ = ["INSIDE", "OUTSIDE", "Session", "make_file_name", "make_resolution"]

INSIDE, OUTSIDE = 1, 2
"""Values of marks inside and outside the object, as in the pictures that ``--marks`` reads."""

_LONGEST = 100
"""Longest beginning of a file name, in characters. File systems allow 255 bytes, of which a
character may take up to four, but names of more than a hundred characters are rare."""

R = TypeVar("R", Segmentation, VolumeSegmentation)


@dataclass(frozen=True, eq=False)
class _Step(Generic[R]):
    """A result, and whether marks made it: marks always start from the last one without."""

    result: R
    is_marked: bool


class Session(abc.ABC, Generic[R]):
    """One result, and the steps in which a person changed its target.

    Every change adds a result, so that :meth:`undo` returns to the one before. Nothing here needs
    napari or Qt.

    Attributes:
      cut: the part of the layer that was segmented.
      save_notes: sentences for the user about the last :meth:`save`.
    """

    def __init__(self, cut: Cut, result: R) -> None:
        self.cut = cut
        self.save_notes: tuple[str, ...] = ()
        self._steps = [_Step(result, False)]

    @property
    def result(self) -> R:
        """The present result."""
        return self._steps[-1].result

    @property
    def clusters(self) -> np.ndarray:
        """Label map from which clusters are picked; int32, (H, W) or (Z, H, W)."""
        return self._get_clusters(self.result)

    @property
    def mask(self) -> np.ndarray:
        """Present mask; bool, of the same shape."""
        return self.result.mask

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the segmentation for the user."""
        return self.result.notes

    @property
    def can_undo(self) -> bool:
        """Whether the target was changed."""
        return len(self._steps) > 1

    def toggle(self, place: tuple[int, ...]) -> str:
        """Add the cluster at a pixel to the target, or remove it if the pixel is in the mask.

        Args:
          place: index of the pixel, (row, column) or (slice, row, column).

        Returns:
          A sentence that tells what was done.

        Raises:
          InputError: the pixel is outside the image, or nothing would be left of the target.
        """
        label = self._find_label(place)
        before = self.mask
        is_inside = bool(before[place])
        if is_inside and not (before & (self.clusters != label)).any():
            raise InputError(
                f"Cluster {label} is the whole target: pick another cluster before you remove it, "
                "or click that one with Shift to replace the target."
            )
        changed = self._retarget(f"label:{'-' if is_inside else '+'}{label}")
        if np.array_equal(before, changed.mask):
            return (
                f"Cluster {label} stays {'in' if is_inside else 'outside'} the target: the "
                "clean-up fills holes and drops small islands. Correct it with marks."
            )
        self._steps.append(_Step(changed, False))
        return f"Cluster {label} was {'removed from' if is_inside else 'added to'} the target."

    def replace(self, place: tuple[int, ...]) -> str:
        """Make the cluster at a pixel the target.

        Args and errors are those of :meth:`toggle`.
        """
        label = self._find_label(place)
        self._steps.append(_Step(self._retarget(f"label:{label}"), False))
        return f"Cluster {label} is the target."

    def choose(self, rule: str) -> str:
        """Choose the target again by a rule, such as ``dark``, without a new fit.

        Raises:
          ConfigError: there is no such rule.
          InputError: the result can't be retargeted by a rule.
        """
        self._steps.append(_Step(self._retarget(rule), False))
        return f"The target was chosen by the rule {rule}."

    def correct(self, marks: np.ndarray) -> str:
        """Correct the mask with all marks, from the mask that it had before any marks.

        Args:
          marks: integers of the shape of the mask: 0 unmarked, 1 inside and 2 outside the object.

        Raises:
          InputError: there are no marks, or they have another shape or other values.
        """
        if marks.shape != self.mask.shape:
            raise InputError(
                f"The marks have shape {marks.shape}, but {self.cut.name} has {self.mask.shape}: "
                "segment the image again, which makes a new layer of marks."
            )
        other = int(marks.max(initial=0))
        if other > OUTSIDE:
            raise InputError(f"Marks are 1 (inside) and 2 (outside), but there is a mark {other}.")
        inside, outside = marks == INSIDE, marks == OUTSIDE
        if not (inside.any() or outside.any()):
            raise InputError("There are no marks yet: paint inside or outside the object first.")
        unmarked = next(one.result for one in reversed(self._steps) if not one.is_marked)
        self._steps.append(_Step(self._solve(unmarked, inside, outside), True))
        return (
            f"The mask was corrected with {np.count_nonzero(inside):,} pixels inside and "
            f"{np.count_nonzero(outside):,} outside."
        )

    def undo(self) -> str:
        """Return to the result before the last change.

        Raises:
          InputError: the target was not changed.
        """
        if not self.can_undo:
            raise InputError("Nothing to undo: the target was not changed.")
        self._steps.pop()
        return "The last change was undone."

    def save(
        self, folder: str | os.PathLike[str], name: str, overwrite: bool = False
    ) -> list[Path]:
        """Write label map, mask and overlay, as the command does.

        Args:
          folder: output folder, created if needed.
          name: prefix of the file names.
          overwrite: whether to replace existing files.

        Returns:
          The paths of the files.

        Raises:
          OutputError: a file exists or can't be written, or ``name`` is not a file name.
        """
        if not name.strip(". ") or name != os.path.basename(name) or "\\" in name:
            raise OutputError(f"{name!r} can't begin a file name: give a name without folders.")
        place = make_folder(folder)
        self.save_notes = ()
        planned = [place / one for one in self._list_files(name)]
        for path in planned:
            if not overwrite and os.path.lexists(path):
                raise OutputError(
                    f"{path} exists: choose another folder, rename the layer, or replace existing "
                    "files."
                )
        written = self._write(place, name)
        return [path for path in planned if path.name in written]

    def describe(self) -> str:
        """Describe the result in one line: clusters, size of the target, confidence."""
        count, share = int(self.clusters.max()) + 1, 100 * self.mask.mean()
        noun = "cluster" if count == 1 else "clusters"
        size = f"target {share:.1f} %" if self.mask.any() else "empty mask"
        lengths = self.cut.pixel_size
        if lengths is not None and self.mask.any():
            unit = "mm²" if self.mask.ndim == 2 else "mm³"
            size += f" ({np.count_nonzero(self.mask) * np.prod(lengths):.4g} {unit})"
        return ", ".join([f"{count} {noun}", size, *self._describe_trust()])

    def _find_label(self, place: tuple[int, ...]) -> int:
        """Return the cluster at a pixel; raise :class:`InputError` if it is outside."""
        shape = self.mask.shape
        if not all(0 <= index < side for index, side in zip(place, shape, strict=True)):
            raise InputError(f"This place is outside {self.cut.name}: click on a cluster.")
        return int(self.clusters[place])

    def _describe_trust(self) -> list[str]:
        return []

    @abc.abstractmethod
    def _get_clusters(self, result: R) -> np.ndarray: ...

    @abc.abstractmethod
    def _retarget(self, target: str) -> R: ...

    @abc.abstractmethod
    def _solve(self, result: R, inside: np.ndarray, outside: np.ndarray) -> R: ...

    @abc.abstractmethod
    def _list_files(self, name: str) -> list[str]:
        """List the names of the files that :meth:`_write` may write."""

    @abc.abstractmethod
    def _write(self, folder: Path, name: str) -> Collection[str]:
        """Write all files, replace existing ones, and return the names of those written."""


def make_file_name(name: str) -> str:
    """Make the beginning of a file name from the name of a layer."""
    safe = re.sub(r'[\\/:*?"<>|\x00-\x1f]+', "_", name).strip(". ")
    return safe[:_LONGEST] or "image"


def make_resolution(pixel_size: tuple[float, ...] | None) -> Resolution | None:
    """Make the pixel size that results record.

    Args:
      pixel_size: millimetres along each axis, (row, column) or (slice, row, column), or None.
    """
    if pixel_size is None:
        return None
    y, x = (1 / Fraction(size).limit_denominator(10**9) for size in pixel_size[-2:])
    spacing = float(pixel_size[0]) if len(pixel_size) == 3 else None
    return Resolution(x, y, 1, "ome", "mm", "mm", spacing, "mm")
