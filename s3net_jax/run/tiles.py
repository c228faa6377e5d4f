"""Large images as tiles that overlap, and label maps of tiles as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3net_jax.masks import LabelPool

__all__ = ["Tiling"]


class Tiling:
    """The places of equal tiles that cover an image, each overlapping its neighbours.

    Tiles have ``tile`` pixels a side (fewer where the image has fewer) and are spread evenly, so
    that every neighbour shares at least ``overlap`` of a side.
    """

    def __init__(self, shape: tuple[int, int], tile: int, overlap: float) -> None:
        self.shape = shape
        rows = _place_tiles(shape[0], tile, overlap)
        columns = _place_tiles(shape[1], tile, overlap)
        self._places = [(row, column) for row in rows for column in columns]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[slice, slice]:
        """(rows, columns) of tile ``index``."""
        return self._places[index]

    def join_labels(
        self, label_maps: Sequence[np.ndarray | None], colors: np.ndarray
    ) -> np.ndarray:
        """Common labels of the whole image.

        Clusters of a tile become those of its neighbours by overlap and colour (see
        :class:`LabelPool`), tiles nearest the centre first. Where tiles overlap, the one whose
        centre is nearer (in units of its side) decides, so that no seam follows a tile's edge.

        Args:
          label_maps: (h, w) of each tile, or None of a tile of one colour.
          colors: (H, W, C) floats in [0, 1].

        Returns:
          (H, W) int32 ≥ 0.
        """
        pool = LabelPool()
        result = np.full(self.shape, -1, np.int32)
        weight = np.zeros(self.shape, np.float32)
        for index in self._order_from_centre():
            place = self._places[index]
            labels = label_maps[index]
            if labels is None:
                labels = np.zeros(result[place].shape, np.int32)
            common = pool.add(labels, colors[place], result[place])
            own = _make_weights(labels.shape)
            wins = own > weight[place]
            result[place] = np.where(wins, common, result[place])
            weight[place] = np.maximum(weight[place], own)
        return result

    def blend(self, maps: Sequence[np.ndarray | None]) -> np.ndarray:
        """Tiles' (h, w) floats as one (H, W) float32, with weights that fall towards the edges;
        ones for None."""
        total = np.zeros(self.shape, np.float32)
        weight = np.zeros(self.shape, np.float32)
        for place, values in zip(self._places, maps, strict=True):
            own = _make_weights(total[place].shape)
            total[place] += own if values is None else own * values
            weight[place] += own
        return total / weight

    def _order_from_centre(self) -> list[int]:
        """Tiles by the distance of their centres from the image's, each beside an earlier one."""
        centre = np.array(self.shape) / 2
        middles = np.array(
            [[(r.start + r.stop) / 2, (c.start + c.stop) / 2] for r, c in self._places]
        )
        return np.argsort(np.abs(middles - centre).sum(1), kind="stable").tolist()


def _place_tiles(side: int, tile: int, overlap: float) -> list[slice]:
    if side <= tile:
        return [slice(0, side)]
    count = 1 + int(np.ceil((side - tile) / (tile * (1 - overlap))))
    starts = np.round(np.linspace(0, side - tile, count)).astype(int)
    return [slice(int(start), int(start) + tile) for start in starts]


def _make_weights(shape: tuple[int, ...]) -> np.ndarray:
    """Make weights (h, w) in (0, 1]: highest in the middle, falling towards each edge."""
    row, column = (
        np.minimum(np.arange(n) + 0.5, n - 0.5 - np.arange(n)).astype(np.float32) * 2 / n
        for n in shape
    )
    return row[:, None] * column[None, :]
