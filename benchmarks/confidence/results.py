"""Make results from the label maps of fits, as a run does, and score them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from benchmarks.confidence.images import Maps, Sample, read_truth
from benchmarks.confidence.users import USERS
from s3net_jax.config import Config
from s3net_jax.evaluate import dsc
from s3net_jax.io import Image, read
from s3net_jax.masks import Confidence, draw_best_proposal, rank_candidates
from s3net_jax.presets import preset
from s3net_jax.run import Segmentation, assess_members

__all__ = ["SOURCES", "Row", "Setting", "make_rows"]

Row = dict[str, Any]
"""One result: ``data``, ``stem``, ``reported``, ``setting``, ``user`` (empty if the target was
chosen automatically), ``dsc`` in [0, 1], and the fields of :meth:`Confidence.to_record`."""


class Setting(NamedTuple):
    """A kind of result that is measured.

    Attributes:
      name: name in rows and tables.
      fits: configuration of the fits.
      users: names in :data:`USERS` of those who choose the target; "" for the automatic choice.
      images: number of images to fit, from the start of the list; None for all.
      segment: changes of the section ``segment`` for the results.
    """

    name: str
    fits: Config
    users: tuple[str, ...]
    images: int | None = None
    segment: Mapping[str, Any] = MappingProxyType({})

    @property
    def config(self) -> Config:
        """Configuration of the results."""
        return self.fits.replace(segment=dict(self.segment))


# The images of all sets take turns in the list: 14 images are two of each set. SGSCN takes about a
# minute for an image, and so do tiles.
_FEW, _FEWER, _FEWEST = 14, 7, 5

_ROBUST = {"choice": "traits", "boundary_reach": preset("robust").segment.boundary_reach}

SOURCES = (
    Setting("best", preset("best"), ("", *USERS)),
    Setting("robust", preset("best"), ("",), segment=_ROBUST),
    Setting("fast", preset("fast"), ("", *USERS)),
    Setting("fast, outline redrawn", preset("fast"), ("",), segment={"boundary": "local"}),
    Setting("released", preset("released"), ("",), _FEW),
    Setting("sgscn", preset("sgscn"), ("",), _FEWEST),
    Setting(
        "fast, tiles of 192 pixels", preset("fast").replace(input={"tile": 192}), ("",), _FEWER
    ),
)
"""The first four settings are those on which constants are chosen; the others only check whether
the constants hold for other single label maps."""


def make_rows(sample: Sample, setting: Setting, maps: Maps) -> Iterator[Row]:
    """Make and score the results of one image.

    Args:
      sample: image with ground truth.
      setting: how the results are made.
      maps: label maps of its fits.
    """
    image, truth = read(sample.image), read_truth(sample)
    clusters = maps.clusters.astype(np.int32)
    single = Segmentation(
        *(clusters, np.zeros(clusters.shape, bool), (), {}, 0, None, 0.0),
        image=image.rgb8(),
        config=setting.config.segment,
    )
    for user in setting.users:
        if user:
            found = single.retarget(USERS[user](clusters, truth))
            mask, confidence = found.mask, found.confidence
        elif setting.config.segment.choice != "clusters":
            mask, confidence = _choose_proposal(image, setting.config, maps)
        else:
            found = single.retarget("auto")
            mask, confidence = found.mask, found.confidence
        assert confidence is not None
        yield {
            "data": sample.data,
            "stem": sample.image.stem,
            "reported": sample.is_reported,
            "setting": setting.name,
            "user": user,
            "dsc": round(dsc(mask, truth) / 100, 4),
            **confidence.to_record(),
        }


def _choose_proposal(
    image: Image, config: Config, maps: Maps
) -> tuple[np.ndarray, Confidence | None]:
    """Choose the target among the label maps of all steps of all members."""
    steps = maps.steps
    members = [member for member in range(len(steps)) for _ in range(steps.shape[1])]
    flat = list(steps.reshape(-1, *steps.shape[2:]).astype(np.int32))
    labels = [np.zeros(image.shape, np.int32)] * len(flat)  # only the mask is needed
    ranking = rank_candidates(flat, image.rgb8(), config.segment)
    segments, _ = draw_best_proposal(ranking, labels, image, config.segment)
    return segments.mask, assess_members(ranking, segments.mask, members, config)
