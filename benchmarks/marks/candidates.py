"""Ways to solve marks that were compared when one was chosen."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage
from scipy import ndimage, sparse
from scipy.sparse.csgraph import breadth_first_order, maximum_flow
from skimage.color import rgb2lab
from skimage.segmentation import random_walker

from benchmarks.marks.clicks import Sample, Solver
from s3net_jax.masks import solve_marks

__all__ = ["CANDIDATES", "PRODUCT"]

PRODUCT = "random walker with a prior"

_SIDE = 128  # longest side of the grid, as in the product
_RADIUS = 0.05  # radius of the disc around a mark, as in the product
_REACH = 0.2  # the present mask gives no seeds within this fraction of the side around a mark
_CORE = 3  # pixels by which the present mask and its surroundings are eroded to seeds
_BETA = 130  # the default of scikit-image
_EDGE = 4.0  # standard deviation of the edge weights in units of CIELAB, as in the product
_COST, _SCALE = 3.0, 100  # weight of edges against pixels; factor that makes capacities whole


class _Grid:
    """A sample and its marks on the grid."""

    def __init__(self, sample: Sample, inside: np.ndarray, outside: np.ndarray) -> None:
        self.full = sample.mask.shape
        scale = min(1.0, _SIDE / max(self.full))
        self.shape = tuple(max(1, round(side * scale)) for side in self.full)
        self.lab = rgb2lab(self._reduce(sample.image))
        self.present = self._reduce(sample.mask.astype(np.float32)) > 0.5
        places = [self._place(marks) for marks in (outside, inside)]
        distances = [np.asarray(ndimage.distance_transform_edt(~place)) for place in places]
        self.distances = [
            np.where(place.any(), distance, np.inf)
            for place, distance in zip(places, distances, strict=True)
        ]
        near = np.minimum(*self.distances)
        grown = np.where(self.distances[1] < self.distances[0], 1, 0)
        self.near = near / max(self.shape)
        self.seeds = np.where(self.near <= _RADIUS, grown, -1)

    def _reduce(self, values: np.ndarray) -> np.ndarray:
        picture = PilImage.fromarray(values)
        return np.asarray(picture.resize((self.shape[1], self.shape[0]), PilImage.Resampling.BOX))

    def _place(self, marks: np.ndarray) -> np.ndarray:
        placed = np.zeros(self.shape, bool)
        y, x = np.nonzero(marks)
        placed[
            ((y + 0.5) * self.shape[0] / self.full[0]).astype(int),
            ((x + 0.5) * self.shape[1] / self.full[1]).astype(int),
        ] = True
        return placed

    def enlarge(self, chance: np.ndarray) -> np.ndarray:
        picture = PilImage.fromarray(chance.astype(np.float32))
        return np.asarray(picture.resize(self.full[::-1], PilImage.Resampling.BILINEAR)) > 0.5


def _solve_product(sample: Sample, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    return solve_marks(sample.image, sample.clusters, sample.mask, inside, outside)


def _solve_without_clusters(sample: Sample, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    one = np.zeros_like(sample.clusters)
    return solve_marks(sample.image, one, sample.mask, inside, outside)


def _solve_walker(sample: Sample, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Use scikit-image's random walker; seeds are marks, and the present mask far from them."""
    grid = _Grid(sample, inside, outside)
    far = grid.near > _REACH
    core = ndimage.binary_erosion(grid.present, iterations=_CORE)
    rest = ndimage.binary_erosion(~grid.present, iterations=_CORE, border_value=1)
    seeds = np.where(np.logical_and(far, core), 1, np.where(np.logical_and(far, rest), 2, 0))
    seeds = np.where(grid.seeds == 1, 1, np.where(grid.seeds == 0, 2, seeds))
    if len(np.unique(seeds[seeds > 0])) < 2:  # nothing to separate
        return grid.enlarge(seeds == 1)
    found = random_walker(grid.lab, seeds, beta=_BETA, mode="bf", channel_axis=-1)
    return grid.enlarge(np.asarray(found) == 1)


def _solve_cut(sample: Sample, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Cut the graph of the grid, with the prior of the product as the cost of each pixel."""
    from s3net_jax.masks.marks import _compute_prior, _measure_depth, _place_seeds

    grid = _Grid(sample, inside, outside)
    picture = PilImage.fromarray(sample.clusters.astype(np.int32))
    labels = np.asarray(picture.resize((grid.shape[1], grid.shape[0]), PilImage.Resampling.NEAREST))
    marks = _place_seeds(inside, outside, grid.shape)
    prior = _compute_prior(grid.lab, labels, grid.present, marks, _measure_depth(grid.present))
    chance = np.clip(prior, 0.02, 0.98)
    odds = np.log(chance / (1 - chance))
    odds = np.where(grid.seeds < 0, odds, np.where(grid.seeds == 1, 1e3, -1e3)).ravel()
    count = odds.size
    index = np.arange(count).reshape(grid.shape)
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    colors = grid.lab.reshape(-1, 3)
    apart = ((colors[first] - colors[second]) ** 2).sum(1)
    edge = _COST * np.exp(-apart / (2 * _EDGE**2))
    pixels, source, sink = np.arange(count), np.full(count, count), np.full(count, count + 1)
    capacity = np.concatenate([np.maximum(odds, 0), np.maximum(-odds, 0), edge, edge])
    rows = np.concatenate([source, pixels, first, second])
    columns = np.concatenate([pixels, sink, second, first])
    capacity = (capacity * _SCALE).astype(np.int32)
    graph = sparse.csr_array((capacity, (rows, columns)), shape=(count + 2, count + 2))
    left = graph - maximum_flow(graph, count, count + 1).flow
    left.data = np.maximum(left.data, 0)
    left.eliminate_zeros()
    reached = breadth_first_order(left, count, return_predecessors=False)
    side = np.zeros(count + 2)
    side[reached] = 1
    return grid.enlarge(side[:count].reshape(grid.shape))


CANDIDATES: dict[str, Solver] = {
    PRODUCT: _solve_product,
    "the same, without the clusters": _solve_without_clusters,
    "random walker of scikit-image": _solve_walker,
    "graph cut": _solve_cut,
}
"""Name → solver."""
