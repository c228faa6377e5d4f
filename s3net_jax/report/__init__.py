"""Pictures and pages of results; knows nothing of training."""

from __future__ import annotations

from s3net_jax.report.assets import SCRIPT
from s3net_jax.report.closeup import Closeup, closeup
from s3net_jax.report.curves import Curve, chart, history_charts
from s3net_jax.report.distributions import distributions
from s3net_jax.report.document import document, link_files, links, section, tiles
from s3net_jax.report.film import film_strips
from s3net_jax.report.gallery import Picture, gallery, outlined, switches
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.overlay import overlay
from s3net_jax.report.tables import interval, pairs, table

__all__ = [
    "SCRIPT",
    "Closeup",
    "Curve",
    "Markup",
    "Picture",
    "chart",
    "closeup",
    "distributions",
    "document",
    "element",
    "film_strips",
    "gallery",
    "history_charts",
    "interval",
    "join",
    "link_files",
    "links",
    "outlined",
    "overlay",
    "pairs",
    "section",
    "switches",
    "table",
    "tiles",
]
