"""Find settings that have no effect in combination with other settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3net_jax.config import Config

__all__ = ["find_idle_settings"]


def find_idle_settings(config: Config, changes: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each changed field that ``config`` does not use.

    Args:
      config: configuration with the changes applied.
      changes: nested dict of the changed fields, as passed to ``Config.replace``.
    """
    found = []
    for name in _list_names(changes):
        reason = _find_reason(config, name)
        if reason is not None:
            found.append(f"{name} has no effect with {reason}.")
    return found


def _list_names(changes: Mapping[str, Any], path: str = "") -> list[str]:
    found: list[str] = []
    for name, value in changes.items():
        inner = isinstance(value, Mapping)
        found += _list_names(value, f"{path}{name}.") if inner else [f"{path}{name}"]
    return found


def _find_reason(config: Config, name: str) -> str | None:
    """Find the setting that disables the field ``name``; None if the field is used."""
    model, fit, segment = config.model, config.fit, config.segment
    if name == "input.overlap" and config.input.tile == 0:
        return "input.tile=0"
    attention = ("inception", "local_kernel", "local_kernels", "kernel_sizes", "dilations")
    attention += ("residual",)
    if name in [f"model.{field}" for field in attention] and model.block == "conv":
        return "model.block=conv"
    if name == "model.local_kernel" and model.inception == "local":
        return "model.inception=local"
    if name == "model.local_kernels" and model.inception == "dilated":
        return "model.inception=dilated"
    if name == "model.deform_kernel" and model.deform == "none":
        return "model.deform=none"
    if name == "fit.offset_rate" and config.method.name != "s3net":
        return f"the method {config.method.name}"
    if name == "fit.offset_rate" and model.deform in ("conv", "none"):
        return f"model.deform={model.deform}"
    if name == "model.deform_init" and model.deform in ("conv", "none"):
        return f"model.deform={model.deform}"
    if config.method.trained_on == "folder" and name in (
        *("fit.members", "fit.record_labels", "fit.stop_labels", "fit.stop_after"),
    ):
        return f"the preset {config.preset}, which trains one network on all images"
    if name == "fit.slices" and fit.volume == "slices":
        return "fit.volume=slices"
    if name == "fit.stop_after" and fit.stop_labels == 0:
        return "fit.stop_labels=0"
    if name == "segment.choice" and segment.target != "auto":
        return f"segment.target={segment.target}"
    boundary = ("segment.boundary_level", "segment.boundary_reach", "segment.boundary_colors")
    if name in boundary and segment.boundary == "clusters":
        return "segment.boundary=clusters"
    if name == "loss.edge_scale" and config.loss.spatial != "edge":
        return f"loss.spatial={config.loss.spatial}"
    if name == "loss.weight_spatial" and config.loss.spatial == "hard":
        return "loss.spatial=hard, which has no gradient, except on the reported loss"
    return None
