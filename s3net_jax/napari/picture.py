"""Choose, correct and save the target of a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from s3net_jax.napari.session import Session, make_resolution
from s3net_jax.run import Segmentation

__all__ = ["PictureSession"]


class PictureSession(Session[Segmentation]):
    """The result of a picture; :class:`s3net_jax.Segmentation` does the work."""

    def _get_clusters(self, result: Segmentation) -> np.ndarray:
        return result.labels if result.clusters is None else result.clusters

    def _retarget(self, target: str) -> Segmentation:
        return self.result.retarget(target)

    def _solve(self, result: Segmentation, inside: np.ndarray, outside: np.ndarray) -> Segmentation:
        return result.correct(inside, outside)

    def _list_files(self, name: str) -> list[str]:
        return [f"{name}.{kind}.png" for kind in ("labels", "mask", "overlay")]

    def _write(self, folder: Path, name: str) -> list[str]:
        sized = replace(self.result, resolution=make_resolution(self.cut.pixel_size))
        sized.save(folder, name=name, overwrite=True)
        return self._list_files(name)

    def _describe_trust(self) -> list[str]:
        trust = self.result.confidence
        return [] if trust is None else [str(trust)]
