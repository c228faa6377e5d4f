"""Choose, correct and save the target of a volume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from s3net_jax.errors import InputError
from s3net_jax.io import sync_folder
from s3net_jax.masks import Segments, apply_pick, parse_choice, solve_marks
from s3net_jax.napari.session import Session, make_resolution
from s3net_jax.napari.source import Cut
from s3net_jax.run import (
    Result,
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
        return [f"{name}.labels.tif", f"{name}.mask.tif", f"{name}.overlay.png"]

    def _write(self, folder: Path, name: str) -> None:
        now = self.result
        self._case.resolution = make_resolution(self.cut.pixel_size)
        files = plan_files(folder, Source(Path(name), name, kind="stack"))
        whole = Segments(now.labels, now.mask, now.target)
        write_files(files, self._case, Result(whole, None, None, None, []))
        sync_folder(folder)
