"""Pictures and pages of results; knows nothing of training."""

from __future__ import annotations

from s3net_jax.report.distributions import distributions
from s3net_jax.report.document import document, section, tiles
from s3net_jax.report.gallery import Picture, gallery, outlined, switches
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.overlay import overlay
from s3net_jax.report.script import SCRIPT
from s3net_jax.report.tables import interval, pairs, table

__all__ = [
    "SCRIPT",
    "Markup",
    "Picture",
    "distributions",
    "document",
    "element",
    "gallery",
    "interval",
    "join",
    "outlined",
    "overlay",
    "pairs",
    "section",
    "switches",
    "table",
    "tiles",
]
