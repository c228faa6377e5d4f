"""Choose, correct and save the target of a volume."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io import sync_folder
from s3net_jax.masks import Segments, apply_pick, parse_choice, solve_marks
from s3net_jax.napari.origin import Origin, find_origin
from s3net_jax.napari.session import Session, make_resolution
from s3net_jax.napari.source import Cut
from s3net_jax.run import (
    Result,
    ResultFiles,
    Source,
    VolumeCase,
    VolumeSegmentation,
    plan_files,
    write_files,
)

__all__ = ["VolumeSession"]


class VolumeSession(Session[VolumeSegmentation]):
    """The result of a volume. A pick takes whole clusters, without clean-up."""

    def __init__(self, cut: Cut, result: VolumeSegmentation, case: VolumeCase) -> None:
        super().__init__(cut, result)
        self._case = case
        self._origin: Origin | None = None

    def _get_clusters(self, result: VolumeSegmentation) -> np.ndarray:
        return result.labels

    def _retarget(self, target: str) -> VolumeSegmentation:
        choice = parse_choice(target)
        if isinstance(choice, str):
            raise InputError(
                f"The target of {self.cut.name}, a volume, can't be chosen by a rule afterwards: "
                "segment it again with the rule, or pick clusters."
            )
        now = self.result
        found = apply_pick(choice, now.labels, now.mask, now.target, self.cut.name)
        return replace(now, labels=found.clusters, mask=found.raw, target=found.target)

    def _solve(
        self, result: VolumeSegmentation, inside: np.ndarray, outside: np.ndarray
    ) -> VolumeSegmentation:
        mask = result.mask.copy()
        for n in np.flatnonzero((inside | outside).any((1, 2))):
            image = self._case.piece(int(n))
            if image is None:
                raise InputError(
                    f"Slice {n + 1} of {self.cut.name} has one value everywhere, so its marks have "
                    "nothing to follow: erase them."
                )
            drawn = inside[n], outside[n]
            mask[n] = solve_marks(
                image.rgb8(), result.labels[n], result.mask[n], *drawn, image.name
            )
        return replace(result, mask=mask)

    def _list_files(self, name: str) -> list[str]:
        self._origin = self._find_origin()
        kinds = ("labels", "mask", "overlay", "seg")
        planned = self._plan(Path(), name).names
        return [planned[kind] for kind in kinds if kind in planned]

    def _write(self, folder: Path, name: str) -> Collection[str]:
        now, origin = self.result, self._origin
        self._origin = None  # its voxels would stay in memory
        whole = Segments(now.labels, now.mask, now.target)
        files, case = self._plan(folder, name, origin), self._case
        if origin is None:
            case.resolution = make_resolution(self.cut.pixel_size)
        else:
            case, whole = origin.case, origin.place(whole)
        written, notes = write_files(files, case, Result(whole, None, None, None, []))
        self.save_notes += tuple(notes)
        sync_folder(folder)
        return written.values()

    def _plan(self, folder: Path, name: str, origin: Origin | None = None) -> ResultFiles:
        origin = origin or self._origin
        if origin is None:
            return plan_files(folder, Source(Path(name), name, kind="stack"))
        return plan_files(folder, replace(origin.source, stem=name))

    def _find_origin(self) -> Origin | None:
        """Find the file of the layer; without it, say why the result has no geometry."""
        try:
            return find_origin(self.cut)
        except InputError as error:
            self.save_notes = (f"{self.cut.name} is saved as TIFF, without a geometry: {error}",)
        return None
