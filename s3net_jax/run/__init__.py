"""Segment many inputs: find them, cut them into pieces, fit with an engine, write results."""

from __future__ import annotations

from s3net_jax.errors import DivergedError
from s3net_jax.run.arrays import read_array, read_result
from s3net_jax.run.bar import ProgressView
from s3net_jax.run.cases import VolumeCase, open_case
from s3net_jax.run.confidence import assess_members
from s3net_jax.run.content import Content, read_content
from s3net_jax.run.distributed import SINGLE_PROCESS, Rank, find_rank
from s3net_jax.run.engines import Engine, LocalEngine
from s3net_jax.run.fitter import make_key, translate_errors
from s3net_jax.run.inputs import SUFFIXES, Kind, Source, check_usable, discover
from s3net_jax.run.memory import BatchSizes
from s3net_jax.run.network import load_network, read_model_config
from s3net_jax.run.outcome import Kept
from s3net_jax.run.output.damage import Damage, find_damage
from s3net_jax.run.output.files import Result, ResultFiles, plan_files, write_files
from s3net_jax.run.output.history import read_history
from s3net_jax.run.output.log import RecordLog, ResultLog, read_log
from s3net_jax.run.output.naming import restore_names
from s3net_jax.run.retargeting.change import (
    ChangeListener,
    Changes,
    apply_marks,
    apply_requests,
    undo_changes,
)
from s3net_jax.run.retargeting.drawn import find_marks
from s3net_jax.run.retargeting.folder import Results, open_results
from s3net_jax.run.retargeting.listing import Listing, list_clusters
from s3net_jax.run.retargeting.requests import read_targets, request_target
from s3net_jax.run.review import check_report, refresh_report, review_folder
from s3net_jax.run.runner import segment_inputs
from s3net_jax.run.segment import segment_images
from s3net_jax.run.segmentation import Segmentation
from s3net_jax.run.settings import OutputOptions
from s3net_jax.run.summary import Listener, Summary
from s3net_jax.run.volume_network import choose_volume_mode
from s3net_jax.run.volumes import VolumeSegmentation, open_volume, segment_volume_case

__all__ = [
    "SINGLE_PROCESS",
    "SUFFIXES",
    "BatchSizes",
    "ChangeListener",
    "Changes",
    "Content",
    "Damage",
    "DivergedError",
    "Engine",
    "Kept",
    "Kind",
    "Listener",
    "Listing",
    "LocalEngine",
    "OutputOptions",
    "ProgressView",
    "Rank",
    "RecordLog",
    "Result",
    "ResultFiles",
    "ResultLog",
    "Results",
    "Segmentation",
    "Source",
    "Summary",
    "VolumeCase",
    "VolumeSegmentation",
    "apply_marks",
    "apply_requests",
    "assess_members",
    "check_report",
    "check_usable",
    "choose_volume_mode",
    "discover",
    "find_damage",
    "find_marks",
    "find_rank",
    "list_clusters",
    "load_network",
    "make_key",
    "open_case",
    "open_results",
    "open_volume",
    "plan_files",
    "read_array",
    "read_content",
    "read_history",
    "read_log",
    "read_model_config",
    "read_result",
    "read_targets",
    "refresh_report",
    "request_target",
    "restore_names",
    "review_folder",
    "segment_images",
    "segment_inputs",
    "segment_volume_case",
    "translate_errors",
    "undo_changes",
    "write_files",
]
