"""Describe what an evaluation measures: metrics and protocols, with the names that tables show.

There are two kinds of ground truth. A mask marks one target, and a result is scored by its mask.
Segmentations by people divide the whole image, and a result is scored by its label map.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = ["REGIONS", "TARGET", "Column", "Criteria", "Metric", "get_criteria"]


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Attributes:
      title: name in tables and headings, with an arrow in the better direction.
      name: name in sentences.
      digits: decimals in tables.
      is_higher_better: whether larger values are better.
    """

    title: str
    name: str
    digits: int = 1
    is_higher_better: bool = True


@dataclass(frozen=True)
class Column:
    """One column of the main table: a metric under a protocol, below a heading."""

    heading: str
    protocol: str
    metric: str


@dataclass(frozen=True, eq=False)
class Criteria:
    """Metrics and protocols that belong together.

    Attributes:
      metrics: key in files → metric.
      surfaces: further metrics, of volumes whose voxel size is known.
      protocols: name → what is scored under it, in words.
      protocol, metric: the most important of each: methods are compared by this figure, and
        pictures sorted by it.
      columns: columns of the main table.
      heading: heading of the main table.
      paper: metrics for which an experiment file may give published values.
    """

    metrics: dict[str, Metric]
    protocols: dict[str, str]
    protocol: str
    metric: str
    columns: tuple[Column, ...]
    heading: str
    paper: tuple[str, ...]
    surfaces: dict[str, Metric] = field(default_factory=dict)

    def list_metrics(self, found: Iterable[Iterable[str]]) -> dict[str, Metric]:
        """List all metrics, and those of surfaces that one of ``found`` has, by key."""
        known = {name for names in found for name in names}
        return self.metrics | {k: one for k, one in self.surfaces.items() if k in known}

    @property
    def main(self) -> str:
        """Name of the most important figure in sentences, such as "blind DSC"."""
        name = self.metrics[self.metric].name
        return f"{self.protocol} {name}" if self is TARGET else name

    @property
    def ranked_protocols(self) -> tuple[str, ...]:
        """Names of the protocols, the most important first."""
        return tuple(sorted(self.protocols, key=lambda name: name != self.protocol))

    @property
    def ranked_columns(self) -> tuple[Column, ...]:
        """Columns of the main table, those of the most important protocol first."""
        return tuple(sorted(self.columns, key=lambda column: column.protocol != self.protocol))


_TARGET_PROTOCOLS = {
    "released": "the cluster with the largest overlap with G, cropped by G dilated, at 256×256: "
    "the authors' code; it leaks the ground truth",
    "overlap": "the cluster with the largest overlap with G: the paper's text",
    "oracle": "the single cluster with the highest DSC: a bound for choosing one cluster",
    "blind": "the tool's own choice, without ground truth: what a user gets",
}

TARGET = Criteria(
    metrics={
        "dsc": Metric("DSC ↑", "DSC"),
        "hm": Metric("HM ↓", "HM", is_higher_better=False),
        "xor": Metric("XOR ↓", "XOR", is_higher_better=False),
        "hd95": Metric("HD95 (pixels) ↓", "HD95", is_higher_better=False),
        "boundary_f": Metric("boundary F ↑", "boundary F"),
    },
    protocols=_TARGET_PROTOCOLS,
    protocol="blind",
    metric="dsc",
    columns=tuple(Column(name, name, "dsc") for name in _TARGET_PROTOCOLS),
    heading="mean DSC (95 % interval)",
    paper=("dsc", "hm", "xor"),
    surfaces={
        "hd95_mm": Metric("HD95 (mm) ↓", "HD95 in mm", is_higher_better=False),
        "assd_mm": Metric("ASSD (mm) ↓", "ASSD in mm", digits=2, is_higher_better=False),
        "surface_dice": Metric("surface Dice at 3 mm ↑", "surface Dice at 3 mm"),
    },
)
"""Criteria for ground truth that marks one target."""

# Most algorithms in the literature on BSDS500 (watersheds, mean shift, graphs) return connected
# regions, and Kim et al. (2020) split their clusters into components before they compute the mIoU.
# So components come first, and the clusters themselves are reported beside them.
REGIONS = Criteria(
    metrics={
        "covering": Metric("covering ↑", "covering"),
        "pri": Metric("PRI ↑", "PRI"),
        "vi": Metric("VI (bits) ↓", "VI", digits=2, is_higher_better=False),
        "miou_all": Metric("mIoU all ↑", "mIoU"),
        "miou_fine": Metric("mIoU fine ↑", "mIoU fine"),
        "miou_coarse": Metric("mIoU coarse ↑", "mIoU coarse"),
    },
    protocols={
        "components": "the label map with every cluster split into its connected parts",
        "clusters": "the label map as it is: distant parts of a cluster are one segment",
    },
    protocol="components",
    metric="covering",
    columns=(
        Column("covering ↑", "components", "covering"),
        Column("PRI ↑", "components", "pri"),
        Column("VI (bits) ↓", "components", "vi"),
        Column("mIoU all ↑", "components", "miou_all"),
    ),
    heading="mean (95 % interval)",
    paper=("covering", "pri", "vi", "miou_all", "miou_fine", "miou_coarse"),
)
"""Criteria for ground truth that consists of several segmentations of the whole image."""


def get_criteria(protocols: Iterable[str]) -> Criteria:
    """Return the criteria that protocols belong to.

    Args:
      protocols: names of protocols, such as those of a summary.

    Raises:
      ValueError: no criteria have all of these protocols.
    """
    names = set(protocols)
    for criteria in (TARGET, REGIONS):
        if names and names <= criteria.protocols.keys():
            return criteria
    raise ValueError(f"There are no criteria with the protocols {', '.join(sorted(names))}.")
