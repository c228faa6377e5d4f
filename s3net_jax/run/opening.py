"""Open an input of a run, and explain why that failed."""

from __future__ import annotations

import os
import traceback
from dataclasses import replace

from s3net_jax.errors import InputError, describe_unexpected
from s3net_jax.jax_setup import is_out_of_memory
from s3net_jax.run.cases import open_case
from s3net_jax.run.content import read_content
from s3net_jax.run.output.kept import KeptFits
from s3net_jax.run.output.plan import Task
from s3net_jax.run.output.steps import choose_fits
from s3net_jax.run.output.writer import OpenInput
from s3net_jax.run.settings import RunSettings

__all__ = ["explain", "open_input"]


def open_input(task: Task, settings: RunSettings) -> OpenInput:
    """Open an input with the fits that an interrupted run kept.

    Its files are checked not to have changed while they were read.
    """
    if task.source.problem:
        raise InputError(task.source.problem)
    content = read_content(task.source)
    case = open_case(task.source, settings.config)
    content.check()
    seeds = settings.identity.all_seeds
    pieces = {n: image.shape for n in range(len(case)) if (image := case.piece(n)) is not None}
    filmed = choose_fits(list(pieces), seeds)
    opened = OpenInput(task, case, content, len(pieces) * len(seeds), filmed)
    if len(case) == 1:
        return opened
    kept = KeptFits(settings.folder, task.source.stem, content.digest, settings.identity)
    needs_maps = filmed if settings.config.fit.record_labels else ()
    found = kept.load(pieces).items()
    fits = {key: f for key, f in found if key not in needs_maps or f.label_maps is not None}
    return replace(opened, fits=fits, kept=kept)


def explain(error: Exception, name: str) -> str:
    """Explain in one sentence why the input called ``name`` failed."""
    if isinstance(error, InputError):
        return str(error)
    if os.environ.get("S3NET_DEBUG"):
        traceback.print_exception(error)
    if is_out_of_memory(error):
        return f"{name} ran out of memory: shrink or crop it first."
    return f"{name} {describe_unexpected(error)}"
