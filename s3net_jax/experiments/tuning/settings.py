"""The settings of a search: the configuration's own numbers first, then the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from s3net_jax.config import Config
from s3net_jax.experiments.tuning.spec import FIELDS, Tuning
from s3net_jax.presets import preset

__all__ = ["Setting", "configured", "name_of", "set_options", "settings_of"]

Setting = Mapping[str, float]
"""A number for each name in :data:`FIELDS`."""


def settings_of(tuning: Tuning) -> list[Setting]:
    """Every setting once, the configuration's own first."""
    from s3net_jax.fitting import grid, hyperparameters

    base = {n: _plain(v) for n, v in dataclasses.asdict(hyperparameters(tuning.config)).items()}
    hyper = grid(tuning.config, **tuning.values)
    columns = {name: [_plain(v) for v in getattr(hyper, name)] for name in FIELDS}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [base, *(row for row in rows if row != base)]


def _plain(value: float) -> float:
    """As a person wrote it: 0.3, not the float32 beside it."""
    return float(f"{float(value):.6g}")


def name_of(setting: Setting) -> str:
    """One text for each setting, to know it again."""
    return " ".join(f"{name}={setting[name]:g}" for name in FIELDS)


def configured(config: Config, setting: Setting, steps: int) -> Config:
    """``config`` with the numbers of ``setting``, and ``steps`` steps."""
    sections: dict[str, dict[str, float]] = {"loss": {}, "fit": {"steps": steps}}
    for name, section in FIELDS.items():
        sections[section][name] = setting[name]
    return config.replace(**sections)


def set_options(config: Config) -> str:
    """What a user types to have ``config``: ``--preset NAME --set FIELD=VALUE ...``."""
    before, after = _flat(preset(config.preset).to_dict()), _flat(config.to_dict())
    changed = [f"--set {name}={_typed(v)}" for name, v in after.items() if before[name] != v]
    return " ".join([f"--preset {config.preset}", *changed])


def _flat(tree: Mapping[str, object], path: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{path}{name}.")
        else:
            flat[f"{path}{name}"] = value
    return flat


def _typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_typed, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
