"""Compare a label map with segmentations of the whole image by several people.

All metrics of a label map S and a human segmentation G come from one contingency table: the number
of pixels n_ij that are in segment i of S and in segment j of G. Labels are arbitrary names, and
label 0 is a segment like any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from s3net_jax.criteria import REGIONS

__all__ = [
    "Contingency",
    "compute_best_overlap",
    "compute_covering",
    "compute_rand_index",
    "compute_variation_of_information",
    "measure_annotators",
    "measure_regions",
    "split_components",
    "tabulate",
]


@dataclass(frozen=True, eq=False)
class Contingency:
    """Sparse contingency table of two label maps S and G.

    A dense table would be large: a map of noisy clusters has thousands of components.

    Attributes:
      counts: (P,) int64 n_ij > 0, the pixels that segments i of S and j of G share.
      rows, columns: (P,) indices i and j of these entries.
      row_sizes, column_sizes: (I,) and (J,) int64 sizes |S_i| and |G_j| in pixels.
    """

    counts: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    row_sizes: np.ndarray
    column_sizes: np.ndarray

    @property
    def pixels(self) -> int:
        """Number of pixels N of the image."""
        return int(self.row_sizes.sum())


def tabulate(labels: np.ndarray, truth: np.ndarray) -> Contingency:
    """Count the pixels of every pair of segments.

    Args:
      labels: (H, W) integer label map S.
      truth: (H, W) integer label map G.

    Raises:
      ValueError: the shapes differ, or the maps have no pixels.
    """
    if labels.shape != truth.shape:
        raise ValueError(
            f"The label map has shape {labels.shape}, but the segmentation has shape {truth.shape}."
        )
    if labels.size == 0:
        raise ValueError(f"The label map has no pixels: its shape is {labels.shape}.")
    _, row, row_sizes = np.unique(labels, return_inverse=True, return_counts=True)
    _, column, column_sizes = np.unique(truth, return_inverse=True, return_counts=True)
    # One integer for each pair; int64 holds the product of two numbers of pixels.
    width = len(column_sizes)
    pairs = row.ravel().astype(np.int64) * width + column.ravel()
    codes, counts = np.unique(pairs, return_counts=True)
    rows, columns = np.divmod(codes, width)
    return Contingency(counts, rows, columns, row_sizes, column_sizes)


def compute_covering(table: Contingency) -> float:
    """Compute the segmentation covering of G by S, in [0, 1].

    C(S → G) = (1/N) Σ_j |G_j| max_i |S_i ∩ G_j| / |S_i ∪ G_j| (Arbeláez, Maire, Fowlkes and Malik,
    IEEE TPAMI 33, 2011).
    """
    return float(_find_best_overlaps(table) @ table.column_sizes) / table.pixels


def compute_best_overlap(table: Contingency) -> float:
    """Compute the mean over segments of G of the largest intersection over union, in [0, 1].

    (1/J) Σ_j max_i |S_i ∩ G_j| / |S_i ∪ G_j|: the covering without weights. Several segments
    of G may have the same best partner. The mIoU of Kim, Kanezaki and Tanaka (IEEE TIP 29, 2020) is
    the mean of the same overlaps over the segments of a whole data set.
    """
    return float(_find_best_overlaps(table).mean())


def compute_rand_index(table: Contingency) -> float:
    """Compute the Rand index, the share of pixel pairs on which S and G agree, in [0, 1].

    Pairs agree if both maps put them into one segment, or both into two: 1 − (½ Σ_i |S_i|² +
    ½ Σ_j |G_j|² − Σ_ij n_ij²) / (N choose 2) (Rand, JASA 66, 1971). Its mean over people is the
    probabilistic Rand index (Unnikrishnan, Pantofaru and Hebert, IEEE TPAMI 29, 2007, equation 5,
    with the sample mean as the probability of each pair). For a single pixel it is 1.
    """
    pixels = table.pixels
    if pixels < 2:
        return 1.0
    # Integers: N² overflows float32 and, above 9·10¹⁵, the whole numbers of float64.
    square = [
        sum(int(size) ** 2 for size in sizes.tolist())
        for sizes in (table.row_sizes, table.column_sizes, table.counts)
    ]
    return 1 - (square[0] + square[1] - 2 * square[2]) / (pixels * (pixels - 1))


def compute_variation_of_information(table: Contingency) -> float:
    """Compute the variation of information H(S|G) + H(G|S) in bits, in [0, 2 log₂ N].

    It equals 2 H(S, G) − H(S) − H(G) (Meilă, J. Multivariate Analysis 98, 2007). The
    code of the BSDS500 benchmark and the figures in its literature use bits; divide by log₂ e =
    1.4427 for nats.
    """
    entropy = [
        _compute_entropy(sizes / table.pixels)
        for sizes in (table.counts, table.row_sizes, table.column_sizes)
    ]
    return max(0.0, 2 * entropy[0] - entropy[1] - entropy[2])  # no −1e-16 for equal maps


def measure_regions(labels: np.ndarray, annotations: Sequence[np.ndarray]) -> dict[str, float]:
    """Compute every metric in :data:`s3net_jax.criteria.REGIONS` for one image.

    All are means over people, except two: ``miou_fine`` takes only the human segmentation with the
    most segments, ``miou_coarse`` the one with the fewest (the first of several).

    Args:
      labels: (H, W) integer label map.
      annotations: human segmentations, at least one, each (H, W) integers.

    Returns:
      Metric → value, in percent, except ``vi`` in bits.

    Raises:
      ValueError: the shapes differ, or there is no human segmentation.
    """
    if not len(annotations):
        raise ValueError("There is no human segmentation to compare with.")
    tables = [tabulate(labels, truth) for truth in annotations]
    overlaps = [compute_best_overlap(table) for table in tables]
    segments = [len(table.column_sizes) for table in tables]
    found = {
        "covering": 100 * np.mean([compute_covering(table) for table in tables]),
        "pri": 100 * np.mean([compute_rand_index(table) for table in tables]),
        "vi": np.mean([compute_variation_of_information(table) for table in tables]),
        "miou_all": 100 * np.mean(overlaps),
        "miou_fine": 100 * overlaps[int(np.argmax(segments))],
        "miou_coarse": 100 * overlaps[int(np.argmin(segments))],
    }
    return {name: float(found[name]) for name in REGIONS.metrics}


def measure_annotators(annotations: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
    """Measure how well people agree: each one against all others, averaged.

    Args:
      annotations: human segmentations, at least two, each (H, W) integers.

    Returns:
      Protocol → metric → value; see :func:`measure_regions`.

    Raises:
      ValueError: there are fewer than two, or their shapes differ.
    """
    if len(annotations) < 2:
        raise ValueError(f"Agreement needs at least 2 human segmentations, got {len(annotations)}.")
    found = {name: [] for name in REGIONS.protocols}
    for n, own in enumerate(annotations):
        others = [other for m, other in enumerate(annotations) if m != n]
        found["components"].append(measure_regions(split_components(own), others))
        found["clusters"].append(measure_regions(own, others))
    return {
        protocol: {name: float(np.mean([one[name] for one in each])) for name in REGIONS.metrics}
        for protocol, each in found.items()
    }


def split_components(labels: np.ndarray) -> np.ndarray:
    """Give every connected part of every segment its own label.

    Pixels are connected if they share a side. Diagonal neighbours would join the two squares of a
    checkerboard that crosses them as well.

    Args:
      labels: (H, W) integer label map.

    Returns:
      (H, W) integer label map with labels from 1.
    """
    from skimage import measure

    lowest = int(labels.min()) - 1  # no pixel is background
    return np.asarray(measure.label(labels, background=lowest, connectivity=1))


def _find_best_overlaps(table: Contingency) -> np.ndarray:
    """Find the largest intersection over union of each segment of G with a segment of S: (J,)."""
    union = table.row_sizes[table.rows] + table.column_sizes[table.columns] - table.counts
    best = np.zeros(len(table.column_sizes))
    np.maximum.at(best, table.columns, table.counts / union)
    return best


def _compute_entropy(shares: np.ndarray) -> float:
    """Compute the entropy of positive probabilities in bits."""
    return -float(shares @ np.log2(shares))
