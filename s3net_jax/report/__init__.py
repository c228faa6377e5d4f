"""Pictures and pages of results; knows nothing of training."""

from __future__ import annotations

from s3net_jax.report.assets import SCRIPT
from s3net_jax.report.closeup import Closeup, closeup
from s3net_jax.report.curves import Curve, chart, history_charts
from s3net_jax.report.distributions import distributions
from s3net_jax.report.document import document, link_files, links, section, tiles
from s3net_jax.report.experiment import experiment_page
from s3net_jax.report.film import film_strips
from s3net_jax.report.gallery import Picture, gallery, outlined, switches
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.overlay import overlay
from s3net_jax.report.page import page
from s3net_jax.report.tables import interval, pairs, table
from s3net_jax.report.tuning import tuning_page

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
    "experiment_page",
    "film_strips",
    "gallery",
    "history_charts",
    "interval",
    "join",
    "link_files",
    "links",
    "outlined",
    "overlay",
    "page",
    "pairs",
    "section",
    "switches",
    "table",
    "tiles",
    "tuning_page",
]
