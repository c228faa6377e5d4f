"""Write ``report.html``, the page on which a person reviews the results of a run."""

from __future__ import annotations

from s3net_jax.run.review.report import Report, check_report, refresh_report, review_folder
from s3net_jax.run.review.updates import ReportUpdates

__all__ = ["Report", "ReportUpdates", "check_report", "refresh_report", "review_folder"]
