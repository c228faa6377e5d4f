"""Split large images into overlapping tiles, and join the label maps of the tiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from s3net_jax.masks import LabelPool

__all__ = ["Tiling"]


class Tiling:
    """The positions of equal tiles that cover an image and overlap their neighbours.

    A tile has ``tile`` pixels a side, or the image's side if that is smaller. Tiles are spaced
    evenly, so that neighbours share at least the fraction ``overlap`` of a side.
    """

    def __init__(self, shape: tuple[int, int], tile: int, overlap: float) -> None:
        self.shape = shape
        rows = _place_tiles(shape[0], tile, overlap)
        columns = _place_tiles(shape[1], tile, overlap)
        self._places = [(row, column) for row in rows for column in columns]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> tuple[slice, slice]:
        """Return the slices (rows, columns) of tile ``index``."""
        return self._places[index]

    def join_labels(
        self, label_maps: Sequence[np.ndarray | None], colors: np.ndarray
    ) -> np.ndarray:
        """Join the label maps of all tiles into one with common labels.

        Clusters of a tile are matched to those of its neighbours by overlap and colour (see
        :class:`LabelPool`), starting at the centre of the image. Where tiles overlap, the tile
        whose centre is nearer (in units of its side) decides, so that no seam follows an edge.

        Args:
          label_maps: (h, w) label map of each tile, or None for a tile of a single colour.
          colors: (H, W, C) colours of the image, floats in [0, 1].

        Returns:
          (H, W) int32 labels, at least 0.
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
        """Blend the maps of all tiles, with weights that decrease towards a tile's edges.

        Args:
          maps: (h, w) floats of each tile; None stands for a map of ones.

        Returns:
          (H, W) float32 map.
        """
        total = np.zeros(self.shape, np.float32)
        weight = np.zeros(self.shape, np.float32)
        for place, values in zip(self._places, maps, strict=True):
            own = _make_weights(total[place].shape)
            total[place] += own if values is None else own * values
            weight[place] += own
        return total / weight

    def _order_from_centre(self) -> list[int]:
        """Return tile numbers by the distance of their centres from the image's centre.

        In this order, every tile is next to an earlier one, whose labels it can continue.
        """
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
    """Make (h, w) weights in (0, 1], largest in the middle and decreasing towards each edge."""
    row, column = (
        np.minimum(np.arange(n) + 0.5, n - 0.5 - np.arange(n)).astype(np.float32) * 2 / n
        for n in shape
    )
    return row[:, None] * column[None, :]
