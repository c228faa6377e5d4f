"""One line of ``results.jsonl``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from s3net_jax.masks import Segments
from s3net_jax.run.cases import Case
from s3net_jax.run.inputs import Source
from s3net_jax.run.outcome import Fitted

__all__ = ["describe_result"]


def describe_result(
    source: Source,
    case: Case,
    whole: Segments,
    agreement: np.ndarray | None,
    fits: list[Fitted],
    notes: list[str],
) -> dict[str, Any]:
    """What a user may want to know of one result, for JSON.

    ``steps`` is the median, ``loss`` the mean over pieces and seeds, ``seconds`` their sum;
    ``pieces`` is there if there are several, ``depth`` of a volume, ``agreement`` (mean share of
    seeds that agree with the consensus) of several seeds.
    """
    notes = [*case.notes, *notes, *whole.notes(str(source.path))]
    height, width = case.pixels
    losses = [float(fit.history["loss"][-1]) for fit in fits]
    loss = sum(losses) / len(losses) if losses else math.nan
    record: dict[str, Any] = {"width": width, "height": height}
    if case.volume is not None:
        record["depth"] = len(case)
    if len(case) > 1:
        record["pieces"] = len(case)
    record |= {
        "steps": int(np.median([fit.steps for fit in fits])),
        "labels": whole.count,
        "target": list(whole.target),
        "area": int(np.count_nonzero(whole.mask)),
        "area_fraction": round(whole.area, 6),
        "loss": loss if math.isfinite(loss) else None,
        "seconds": round(sum(fit.seconds for fit in fits), 3),
        "notes": notes,
    }
    if agreement is not None:
        record["agreement"] = round(float(agreement.mean()), 4)
    return record
