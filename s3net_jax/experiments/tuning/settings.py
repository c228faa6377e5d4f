"""List the settings of a search: those of the configuration first, then the grid."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from s3net_jax.config import Config
from s3net_jax.experiments.tuning.spec import Tuning, find_varied_fields
from s3net_jax.presets import preset

if TYPE_CHECKING:
    from s3net_jax.fitting import Hyper

__all__ = [
    "Setting",
    "configure",
    "format_options",
    "list_settings",
    "name_setting",
    "stack_settings",
]

Setting = Mapping[str, float]
"""Value of each of :func:`find_varied_fields`."""


def list_settings(tuning: Tuning) -> list[Setting]:
    """List every setting once, starting with that of the configuration."""
    from s3net_jax.fitting import grid, hyperparameters

    names = find_varied_fields(tuning.config)
    plain = hyperparameters(tuning.config)
    base = {name: _round_number(_get_number(plain, name)) for name in names}
    hyper = grid(tuning.config, **tuning.values)
    columns = {name: [_round_number(v) for v in _get_number(hyper, name)] for name in names}
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return [base, *(row for row in rows if row != base)]


def stack_settings(settings: Sequence[Setting], config: Config) -> Hyper:
    """Stack the numbers of several settings into a :class:`Hyper` of (B,) arrays."""
    import jax.numpy as jnp

    from s3net_jax.fitting import hyperparameters

    columns = {
        name: jnp.asarray([setting[name] for setting in settings], float)
        for name in find_varied_fields(config)
    }
    own = {name: columns.pop(name) for name in config.method.weights}
    return dataclasses.replace(hyperparameters(config), **columns, own=own)


def _get_number(hyper: Hyper, name: str) -> Any:
    """Return a number of ``hyper``, one of the method's own among them."""
    return hyper.own[name] if name in hyper.own else getattr(hyper, name)


def _round_number(value: float) -> float:
    """Round to six digits: 0.3 instead of the nearest float32."""
    return float(f"{float(value):.6g}")


def name_setting(setting: Setting) -> str:
    """Format a setting as text, which identifies it in ``scores.jsonl``."""
    return " ".join(f"{name}={value:g}" for name, value in setting.items())


def configure(config: Config, setting: Setting, steps: int) -> Config:
    """Return ``config`` with the values of ``setting`` and ``steps`` steps."""
    sections: dict[str, dict[str, float]] = {"fit": {"steps": steps}}
    for name, section in find_varied_fields(config).items():
        sections.setdefault(section, {})[name] = setting[name]
    return config.replace(**sections)


def format_options(config: Config) -> str:
    """Format the options that give ``config``: ``--preset NAME --set FIELD=VALUE ...``."""
    before, after = _flatten(preset(config.preset).to_dict()), _flatten(config.to_dict())
    changed = [f"--set {name}={_format_value(v)}" for name, v in after.items() if before[name] != v]
    return " ".join([f"--preset {config.preset}", *changed])


def _flatten(tree: Mapping[str, object], path: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{path}{name}.")
        else:
            flat[f"{path}{name}"] = value
    return flat


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ",".join(map(_format_value, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
