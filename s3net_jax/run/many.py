"""Many images, one after another: each result is on disk before the next image is begun."""

from __future__ import annotations

import json
import math
import os
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL.Image import Image as PilImage

from s3net_jax.config import Config, ConfigError
from s3net_jax.io import (
    Image,
    InputError,
    OutputError,
    make_folder,
    read,
    write_bytes,
    write_labels,
    write_mask,
    write_picture,
)
from s3net_jax.masks import check_target
from s3net_jax.run.discover import Source, discover
from s3net_jax.run.environment import devices, implementations, versions
from s3net_jax.run.log import ResultLog
from s3net_jax.run.plan import file_digest, make_plan, output_paths
from s3net_jax.run.single import DivergedError, Segmentation, segment_image

__all__ = ["Listener", "Summary", "segment_inputs"]

Draw = Callable[[np.ndarray, np.ndarray, np.ndarray, str], PilImage]
"""Draws an overlay from image (H, W, 3) uint8, labels (H, W), mask (H, W), name."""

Record = dict[str, Any]


@dataclass
class Summary:
    """How a run went.

    Attributes:
      out: the output folder.
      done, skipped, failed: numbers of inputs.
      seconds: wall clock of the whole run.
      status: ``running``, ``finished`` or ``interrupted``.
      times: seconds of each image done; the first includes compilation.
    """

    out: Path
    done: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    status: str = "running"
    times: list[float] = field(default_factory=list)


class Listener(Protocol):
    """Is told how a run goes; every method may do nothing."""

    step: Callable[[int, Record], None] | None
    """Called after every optimisation step; None costs nothing."""

    def begin(self, count: int) -> None:
        """A run of ``count`` inputs begins."""

    def start(self, index: int, source: Source) -> None:
        """Input ``index`` (from 0) is begun."""

    def done(self, index: int, record: Record) -> None:
        """Its results are written."""

    def failed(self, index: int, record: Record) -> None:
        """It could not be segmented: ``record["error"]`` says why."""

    def skipped(self, index: int, record: Record) -> None:
        """Its results were there already."""


def segment_inputs(
    inputs: Iterable[str | Path],
    out: str | Path,
    config: Config,
    *,
    draw: Draw,
    listener: Listener,
    seed: int = 0,
    overwrite: bool = False,
    call: Callable[[Callable[[], Segmentation]], Segmentation] = lambda compute: compute(),
) -> Summary:
    """Segments every input into ``out``; a bad input fails alone.

    Writes, for each input, ``STEM.labels.png``, ``STEM.mask.png``, ``STEM.overlay.png`` and a
    line in ``results.jsonl``; for the run ``run.json``. Results that are there already, of the
    same picture, configuration and seed, are left as they are.

    Args:
      inputs: files, folders, patterns; see :func:`discover`.
      out: output folder, made if need be.
      config: the configuration.
      draw: makes the overlay.
      listener: is told how it goes.
      seed: of every image, so that a result does not depend on its neighbours.
      overwrite: replace what is there.
      call: runs the computation of one image; a command line passes one that can be interrupted.

    Raises:
      ConfigError: the configuration can't be used.
      OutputError: the folder can't be written, or holds other results; see :func:`make_plan`.
    """
    check_target(config.segment.target)
    sources = discover(inputs)
    folder = make_folder(out)
    log = ResultLog(folder / "results.jsonl")
    plan = make_plan(sources, folder, log, config.digest, seed, overwrite)
    summary, started = Summary(folder), datetime.now(UTC)
    clock = time.perf_counter()

    def save_run() -> None:
        summary.seconds = round(time.perf_counter() - clock, 3)
        _write_run(summary, config, seed, started)

    listener.begin(len(plan))
    save_run()
    try:
        for index, task in enumerate(plan):
            source = task.source
            if task.done:
                summary.skipped += 1
                listener.skipped(index, log.get(source.stem) or {})
                continue
            listener.start(index, source)
            record: Record = {"stem": source.stem, "input": str(source.path)}
            record |= {"config": config.digest, "seed": seed}
            try:
                record |= _segment_one(source, folder, config, seed, draw, listener, call)
            except (ConfigError, OutputError):
                raise
            except Exception as error:  # whatever it is, the other inputs can still be done
                if os.environ.get("S3NET_DEBUG"):
                    traceback.print_exc()
                summary.failed += 1
                record |= {"error": _explain(error, source)}
                log.put(record)
                listener.failed(index, record)
            else:
                summary.done += 1
                summary.times.append(record["seconds"])
                log.put(record)
                listener.done(index, record)
        summary.status = "finished"
    except BaseException:
        summary.status = "interrupted"
        raise
    finally:
        save_run()
    return summary


def _segment_one(
    source: Source,
    folder: Path,
    config: Config,
    seed: int,
    draw: Draw,
    listener: Listener,
    call: Callable[[Callable[[], Segmentation]], Segmentation],
) -> Record:
    if source.problem:
        raise InputError(source.problem)
    image = read(source.path)
    result = call(lambda: segment_image(image, config, seed=seed, progress=listener.step))
    paths = output_paths(folder, source.stem)
    write_labels(paths["labels"], result.labels)
    write_mask(paths["mask"], result.mask)
    picture = draw(image.rgb8(), result.labels, result.mask, source.path.name)
    write_picture(paths["overlay"], picture)
    return _record(source, image, result) | {"outputs": {k: p.name for k, p in paths.items()}}


def _record(source: Source, image: Image, result: Segmentation) -> Record:
    notes = list(image.notes)
    if not result.target:
        notes.append(
            f"{source.path} ended as one single cluster: its mask is empty; try another seed."
        )
    height, width = image.shape
    loss = float(result.history["loss"][-1])
    return {
        "sha256": file_digest(source.path),
        "width": width,
        "height": height,
        "steps": result.steps,
        "labels": result.segments.count,
        "target": list(result.target),
        "area": int(np.count_nonzero(result.mask)),
        "area_fraction": round(result.segments.area, 6),
        "loss": loss if math.isfinite(loss) else None,
        "seconds": round(result.seconds, 3),
        "notes": notes,
    }


def _explain(error: Exception, source: Source) -> str:
    if isinstance(error, InputError):
        return str(error)
    if isinstance(error, DivergedError):
        return f"{source.path}: {error}"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        return f"{source.path} ran out of memory: try a smaller --size or fewer model.channels."
    where = traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).strip().splitlines() or [""])[0]
    return (
        f"{source.path} failed for a reason that this tool does not know "
        f"({type(error).__name__}: {first}, in {Path(where.filename).name} line {where.lineno})."
    )


def _write_run(summary: Summary, config: Config, seed: int, started: datetime) -> None:
    times = summary.times
    content = {
        "status": summary.status,
        "started": started.isoformat(timespec="seconds"),
        "seconds": summary.seconds,
        "done": summary.done,
        "skipped": summary.skipped,
        "failed": summary.failed,
        "seconds_first_image": times[0] if times else None,
        "seconds_median_later": round(float(np.median(times[1:])), 3) if times[1:] else None,
        "seed": seed,
        "config_digest": config.digest,
        "config": config.to_dict(),
        "versions": versions(),
        "devices": devices(),
        "implementations": {
            operator: [name for name, reason in reasons.items() if reason is None]
            for operator, reasons in implementations().items()
        },
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_bytes(summary.out / "run.json", text.encode())
