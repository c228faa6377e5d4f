"""Draw pictures and build HTML pages of results; independent of training."""

from __future__ import annotations

from s3net_jax.report.assets import SCRIPT
from s3net_jax.report.cards import Card, Pixels, Sizes, build_card, find_cards
from s3net_jax.report.closeup import Closeup, build_closeup
from s3net_jax.report.curves import Curve, draw_chart, draw_history_charts
from s3net_jax.report.distributions import draw_distributions
from s3net_jax.report.document import (
    build_document,
    build_links,
    build_section,
    build_tiles,
    link_files,
)
from s3net_jax.report.experiment import build_experiment_page, describe_training
from s3net_jax.report.film import build_film_strips
from s3net_jax.report.gallery import Picture, build_gallery, build_switches, draw_outlines
from s3net_jax.report.markup import Markup, element, join
from s3net_jax.report.numbers import draw_numbers
from s3net_jax.report.overlay import crop_input, draw_overlay
from s3net_jax.report.page import build_page
from s3net_jax.report.review import GENERATOR, Review, build_review_page
from s3net_jax.report.tables import build_pairs, build_table, format_interval
from s3net_jax.report.tuning import build_tuning_page

__all__ = [
    "GENERATOR",
    "SCRIPT",
    "Card",
    "Closeup",
    "Curve",
    "Markup",
    "Picture",
    "Pixels",
    "Review",
    "Sizes",
    "build_card",
    "build_closeup",
    "build_document",
    "build_experiment_page",
    "build_film_strips",
    "build_gallery",
    "build_links",
    "build_page",
    "build_pairs",
    "build_review_page",
    "build_section",
    "build_switches",
    "build_table",
    "build_tiles",
    "build_tuning_page",
    "crop_input",
    "describe_training",
    "draw_chart",
    "draw_distributions",
    "draw_history_charts",
    "draw_numbers",
    "draw_outlines",
    "draw_overlay",
    "element",
    "find_cards",
    "format_interval",
    "join",
    "link_files",
]
