"""Make the records of ``results.jsonl`` for results and failures."""

from __future__ import annotations

import math

import numpy as np

from s3net_jax.measure import round_row
from s3net_jax.run.cases import Case, VolumeCase
from s3net_jax.run.inputs import Source
from s3net_jax.run.outcome import Fitted
from s3net_jax.run.output.files import Result
from s3net_jax.run.settings import Identity
from s3net_jax.schema import FailedRecord, FileRecord, FinishedRecord

__all__ = ["describe_failure", "describe_result"]


def describe_failure(source: Source, identity: Identity, reason: str) -> FailedRecord:
    """Make the record of an input that failed; ``reason`` is a sentence."""
    return {
        "stem": source.stem,
        "input": str(source.path),
        "config": identity.config,
        "seed": identity.seed,
        "seeds": identity.seeds,
        "error": reason,
    }


def describe_result(
    source: Source,
    identity: Identity,
    digest: str,
    case: Case,
    result: Result,
    fits: list[Fitted],
) -> FinishedRecord:
    """Make the record of a result, with ``outputs`` and ``files`` left empty.

    Args:
      source: input.
      identity: configuration and seeds.
      digest: SHA-256 of the input's content.
      case: opened input.
      result: joint result of the fits.
      fits: fits of all pieces and seeds.

    Returns:
      A :class:`FinishedRecord`.
    """
    whole = result.whole
    height, width = case.pixels
    losses = [float(fit.history["loss"][-1]) for fit in fits if fit.steps]
    loss = sum(losses) / len(losses) if losses else math.nan
    record: FinishedRecord = {
        "stem": source.stem,
        "input": str(source.path),
        "config": identity.config,
        "seed": identity.seed,
        "seeds": identity.seeds,
        "sha256": digest,
        "width": width,
        "height": height,
        "steps": int(np.median([fit.steps for fit in fits])),
        "labels": whole.count,
        "target": list(whole.target),
        "area": int(np.count_nonzero(whole.mask)),
        "area_fraction": round(whole.area, 6),
        "loss": loss if math.isfinite(loss) else None,
        "seconds": round(sum(fit.seconds for fit in fits), 3),
        "notes": [*case.notes, *result.notes, *whole.notes(str(source.path))],
        "outputs": dict[str, str](),
        "files": dict[str, FileRecord](),
    }
    if identity.networks:
        record["networks"] = identity.networks
    if case.volume is not None:
        record["depth"] = len(case)
    if isinstance(case, VolumeCase) and len(case.chosen) < len(case):
        record["slices"] = [case.chosen.start + 1, case.chosen.stop]
    if len(case) > 1:
        record["pieces"] = len(case)
    if identity.options:
        record["options"] = identity.options
    if result.measured is not None:
        record["measures"] = round_row(result.measured.target)
    if result.agreement is not None:
        record["agreement"] = round(float(result.agreement.mean()), 4)
    if result.confidence is not None:
        fields = result.confidence.to_record()
        record["expected_dsc"] = fields["expected_dsc"]
        record["check"] = fields["check"]
        record["basis"] = fields["basis"]
        record["evidence"] = fields["evidence"]
    return record
