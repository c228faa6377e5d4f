"""The whole configuration of a segmentation, frozen and hashable.

A configuration is static under ``jax.jit``. The few numbers that may change without
recompilation (the loss weights, learning rate and momentum) are extracted by
:func:`s3net_jax.fitting.hyperparameters`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s3net_jax.config.convert import check_types, replace_fields
from s3net_jax.config.methods import MethodConfig, make_method_config
from s3net_jax.config.sections import (
    LARGEST_SIZE,
    FitConfig,
    InputConfig,
    LossConfig,
    ModelConfig,
    SegmentConfig,
)
from s3net_jax.config.slices import parse_slices
from s3net_jax.dotted import find_differences, format_fields, list_fields
from s3net_jax.errors import ConfigError

__all__ = ["Config", "check_config"]


_LATER = (
    *("model.inception", "model.local_kernels", "segment.clusters"),
    *("fit.volume", "fit.slices", "input.slices", "segment.boundary_reach"),
    *("loss.edge_scale", "fit.offset_rate"),
)
"""Fields added after results with digests were published. A digest leaves them out at their
default, so that a configuration keeps the digest that earlier results carry. Never change such a
default: two configurations would have the same digest."""


@dataclass(frozen=True)
class Config:
    """All settings that determine a segmentation, apart from the image and the seed."""

    preset: str = "paper"
    """Name of the preset this configuration was made from."""
    input: InputConfig = field(default_factory=InputConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)
    method: MethodConfig = field(default_factory=MethodConfig)

    def __post_init__(self) -> None:
        check_types(self, "")
        _validate(self)
        self.method.validate(self)

    def replace(self, **changes: Any) -> Config:
        """Return a copy with fields replaced; a section takes a dict of its changed fields.

        Values may be strings as typed on a command line. Raise :class:`ConfigError` for a field
        that does not exist or a value that it does not accept.

        >>> Config().replace(fit={"steps": 20}, loss={"affine": {"rotation": (-10, 10)}}).fit.steps
        20
        >>> Config().replace(method={"name": "sgscn", "weight_continuity": 3}).method.name
        'sgscn'
        """
        method = changes.get("method")
        if isinstance(method, Mapping) and method.get("name", self.method.name) != self.method.name:
            # The fields of a method are its own: another one starts from its defaults.
            changed = replace_fields(make_method_config(method["name"]), method, "method.")
            changes = {**changes, "method": changed}
        return replace_fields(self, changes, "")

    def differences(self, other: Config) -> dict[str, Any]:
        """Return dotted name → own value of the fields that differ from those of ``other``."""
        return find_differences(self, other)

    def list_fields(self) -> dict[str, Any]:
        """Return dotted name → value of the fields that the method reads, without ``preset``.

        Fields of ``model`` and ``loss`` that the method ignores are missing, and so is the section
        ``method`` of S3-Net, which has no settings there.
        """
        found = {}
        for name, value in list_fields(self).items():
            section = name.partition(".")[0]
            if self.method.name == "s3net":
                is_read = section != "method"
            else:
                is_read = section not in ("model", "loss") or name in self.method.reads
            if is_read and name != "preset":
                found[name] = value
        return found

    def __str__(self) -> str:
        """Write one section a line, with values as the command's ``--set`` takes them."""
        return format_fields(self)

    def to_dict(self) -> dict[str, Any]:
        """Return a nested plain dict, with lists in place of tuples, as JSON stores it."""
        content = json.loads(json.dumps(dataclasses.asdict(self)))
        # S3-Net has no settings in this section: results of before it existed stay comparable.
        if self.method == MethodConfig():
            del content["method"]
        return content

    @property
    def digest(self) -> str:
        """Hash every field that determines the result, so neither the preset's name nor
        ``record_labels``. Fields that later versions added count only if they differ from their
        default."""
        content = {k: v for k, v in self.to_dict().items() if k != "preset"}
        content["fit"]["record_labels"] = False
        default = Config().to_dict()
        for *path, name in (later.split(".") for later in _LATER):
            here, plain = content, default
            for part in path:
                here, plain = here[part], plain[part]
            if here[name] == plain[name]:
                del here[name]
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_config(config: Any) -> Config:
    """Return ``config``; raise TypeError for anything but a :class:`Config`."""
    if isinstance(config, Config):
        return config
    name = isinstance(config, str)
    given = repr(config) if name else f"a {type(config).__name__}"
    advice = f"s3net_jax.preset({config!r})" if name else "s3net_jax.preset('best')"
    raise TypeError(f"config is {given}, where a Config is expected, such as {advice}.")


def _validate(c: Config) -> None:
    """Raise :class:`ConfigError` for the first field of ``c`` that is out of range."""
    m, f, a = c.model, c.fit, c.loss.affine

    def need(ok: bool, message: str) -> None:
        if not ok:
            raise ConfigError(message)

    need(
        16 <= c.input.size <= LARGEST_SIZE,
        f"input.size must be in 16..{LARGEST_SIZE}, got {c.input.size}.",
    )
    need(
        c.input.tile == 0 or c.input.tile >= 32,
        f"input.tile must be at least 32 pixels, or 0 for no tiles, got {c.input.tile}.",
    )
    need(
        0.05 <= c.input.overlap <= 0.5,
        f"input.overlap must be in 0.05..0.5, got {c.input.overlap}.",
    )
    parse_slices(c.input.slices)
    need(2 <= m.channels <= 1024, f"model.channels must be in 2..1024, got {m.channels}.")
    need(m.blocks >= 1, f"model.blocks must be at least 1, got {m.blocks}.")
    need(
        len(m.kernel_sizes) == len(m.dilations) >= 1,
        f"model.kernel_sizes has {len(m.kernel_sizes)} entries and model.dilations "
        f"{len(m.dilations)}: each branch needs one of both.",
    )
    need(
        m.inception == "dilated" or len(m.local_kernels) == len(m.kernel_sizes),
        f"model.local_kernels has {len(m.local_kernels)} entries and model.kernel_sizes "
        f"{len(m.kernel_sizes)}: with model.inception=local, each branch needs one of both.",
    )
    for k in (m.local_kernel, m.deform_kernel, *m.local_kernels, *m.kernel_sizes):
        need(
            k >= 1 and k % 2 == 1,
            f"Each kernel size of the model must be odd and at least 1, got {k}.",
        )
    need(
        all(d >= 1 for d in m.dilations), f"model.dilations must be at least 1, got {m.dilations}."
    )
    need(f.steps >= 1, f"fit.steps must be at least 1, got {f.steps}.")
    need(1 <= f.members <= 256, f"fit.members must be in 1..256, got {f.members}.")
    need(1 <= f.slices <= 256, f"fit.slices must be in 1..256, got {f.slices}.")
    need(0 <= f.momentum < 1, f"fit.momentum must be in [0, 1), got {f.momentum}.")
    need(f.learning_rate > 0, f"fit.learning_rate must be positive, got {f.learning_rate}.")
    for name in ("rotation", "translation", "scale", "shear"):
        low, high = getattr(a, name)
        need(
            low <= high, f"loss.affine.{name} must have its lower limit first, got ({low}, {high})."
        )
    need(
        0 <= f.offset_rate <= 10,
        f"fit.offset_rate must be in 0..10, got {f.offset_rate}.",
    )
    need(
        c.loss.edge_scale > 0,
        f"loss.edge_scale must be positive, got {c.loss.edge_scale}.",
    )
    need(a.scale[0] > 0, f"loss.affine.scale must be positive, got {a.scale}.")
    need(
        abs(a.shear[0]) < 80 and abs(a.shear[1]) < 80,
        f"loss.affine.shear must be between -80 and 80 degrees, got {a.shear}.",
    )
    need(
        0 < c.segment.boundary_level < 1,
        f"segment.boundary_level must be between 0 and 1, got {c.segment.boundary_level}.",
    )
    need(
        0 <= c.segment.boundary_reach <= 10,
        f"segment.boundary_reach must be in 0..10, got {c.segment.boundary_reach}.",
    )
    need(
        min(c.segment.boundary_colors) >= 0 < sum(c.segment.boundary_colors),
        "segment.boundary_colors must not be negative, nor all zero, got "
        f"{c.segment.boundary_colors}.",
    )
    need(
        c.segment.clusters == 0 or c.segment.clusters >= 2,
        "segment.clusters must be at least 2, or 0 to keep all clusters, got "
        f"{c.segment.clusters}.",
    )
    need(
        0 <= c.segment.min_island < 1,
        f"segment.min_island must be a fraction in [0, 1), got {c.segment.min_island}.",
    )
