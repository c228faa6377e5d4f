"""Segment many inputs: find them, cut them into pieces, fit with an engine, write results."""

from __future__ import annotations

from s3net_jax.errors import DivergedError
from s3net_jax.run.arrays import read_array, read_result
from s3net_jax.run.cases import VolumeCase, open_case
from s3net_jax.run.content import Content, read_content
from s3net_jax.run.distributed import SINGLE_PROCESS, Rank, find_rank
from s3net_jax.run.engines import Engine, LocalEngine
from s3net_jax.run.fitter import make_key, translate_errors
from s3net_jax.run.inputs import SUFFIXES, Kind, Source, check_usable, discover
from s3net_jax.run.memory import BatchSizes
from s3net_jax.run.output.damage import Damage, find_damage
from s3net_jax.run.output.files import plan_files
from s3net_jax.run.output.history import read_history
from s3net_jax.run.output.log import RecordLog, ResultLog, read_log
from s3net_jax.run.output.naming import restore_names
from s3net_jax.run.review import check_report, review_folder
from s3net_jax.run.runner import segment_inputs
from s3net_jax.run.segment import segment_images
from s3net_jax.run.segmentation import Segmentation
from s3net_jax.run.summary import Listener, Summary
from s3net_jax.run.volumes import VolumeSegmentation, open_volume, segment_volume_case

__all__ = [
    "SINGLE_PROCESS",
    "SUFFIXES",
    "BatchSizes",
    "Content",
    "Damage",
    "DivergedError",
    "Engine",
    "Kind",
    "Listener",
    "LocalEngine",
    "Rank",
    "RecordLog",
    "ResultLog",
    "Segmentation",
    "Source",
    "Summary",
    "VolumeCase",
    "VolumeSegmentation",
    "check_report",
    "check_usable",
    "discover",
    "find_damage",
    "find_rank",
    "make_key",
    "open_case",
    "open_volume",
    "plan_files",
    "read_array",
    "read_content",
    "read_history",
    "read_log",
    "read_result",
    "restore_names",
    "review_folder",
    "segment_images",
    "segment_inputs",
    "segment_volume_case",
    "translate_errors",
]
