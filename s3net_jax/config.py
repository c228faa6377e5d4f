"""Configurations: frozen, hashable dataclasses; named presets live in ``presets.py``.

A configuration is static under ``jax.jit``. The few numbers that may change without a
recompilation (the weights of the loss, learning rate, momentum) are taken out of it by
:func:`s3net_jax.fitting.hyperparameters`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from s3net_jax.dotted import find_differences, format_fields
from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = [
    "AffineConfig",
    "Config",
    "ConfigError",
    "FitConfig",
    "InputConfig",
    "LossConfig",
    "ModelConfig",
    "SegmentConfig",
    "check_config",
    "parse_overrides",
]


_LARGEST = 2**31 - 1  # what the compiled programs hold: int32


@dataclass(frozen=True)
class InputConfig:
    """How an image becomes the network's input."""

    size: int = 256
    """Side in pixels of the (square) network input, at least 16."""
    aspect: Literal["square", "keep"] = "square"
    """``square`` stretches to size × size; ``keep`` scales the longer side to ``size`` and the
    shorter one to the nearest multiple of 16, so that few programs serve any shape."""
    resize: Literal["antialias", "opencv"] = "antialias"
    """Cubic resampling: with an anti-aliasing filter, or OpenCV's 4×4 kernel (a = −0.75)."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the colour channels; the released code feeds BGR."""
    window: str = "auto"
    """Values shown as black and as white, of images of more than 8 bits: ``auto`` (percentiles),
    ``lung``, ``soft``, ``bone`` (of a CT in Hounsfield units), or ``LOW,HIGH``."""
    axis: Literal["auto", "axial", "coronal", "sagittal"] = "auto"
    """Direction of a volume's slices; ``auto``: as acquired."""
    tile: int = 0
    """Side in pixels of the tiles that a larger image is cut into, each fitted by itself at
    ``size``; 0 never cuts."""
    overlap: float = 0.25
    """Share of a tile's side that it shares with its neighbour."""


@dataclass(frozen=True)
class ModelConfig:
    """The network of section 3.1 of the paper."""

    channels: int = 64
    """K: feature channels, and the number of clusters there can be."""
    blocks: int = 2
    """Number of attention blocks."""
    block: Literal["attention", "conv"] = "attention"
    """``conv`` replaces every attention block by a plain 3×3 convolution (ablation)."""
    local_kernel: int = 5
    """Size of the shared local depthwise convolution; odd."""
    kernel_sizes: tuple[int, ...] = (3, 5, 7)
    """Sizes of the parallel depthwise branches; odd. ``(7,)`` with dilation 3 is VAN's LKA."""
    dilations: tuple[int, ...] = (1, 2, 3)
    """Dilation of each branch."""
    residual: Literal["after_projection", "before_projection"] = "after_projection"
    """Where the skip joins: ``proj(u) + x`` (released code) or ``proj(u + x)`` (paper's text)."""
    deform: Literal["predicted", "free", "conv", "none"] = "predicted"
    """Offsets and mask predicted from the features, or free parameters per pixel (released
    code; ties the parameters to one image size); ``conv`` is a plain 3×3 convolution
    (ablation), ``none`` leaves the layer out."""
    deform_kernel: int = 3
    """Size of the deformable convolution; odd."""
    deform_init: Literal["default", "uniform"] = "default"
    """Kernel of the deformable convolution: fan-in uniform, or U[0, 1) (released code)."""
    color: Literal["none", "pixels", "released"] = "none"
    """``pixels`` adds a linear map of the pixel values to the score map; ``released`` is the
    released code's branch, which has rank one (paper.md, section 5.4)."""
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    """Type of the activations; parameters and statistics are float32 (float64 with float64, which
    needs ``JAX_ENABLE_X64=1``)."""
    precision: Literal["default", "bfloat16"] = "default"
    """Of matrix products: ``bfloat16`` rounds their factors where the hardware multiplies those
    faster (a CPU with AMX); sums stay float32. Activations in bfloat16 imply it."""
    implementation: Literal["auto", "reference", "xla", "native", "pallas"] = "auto"
    """Implementation of the custom operators; ``auto`` takes the best one there is."""


@dataclass(frozen=True)
class AffineConfig:
    """Ranges from which the affine transform of a step is drawn, each uniformly."""

    rotation: tuple[float, float] = (-45.0, 45.0)
    """Degrees, counter-clockwise."""
    translation: tuple[float, float] = (-0.1, 0.1)
    """Fraction of the image's side, drawn for each axis."""
    scale: tuple[float, float] = (0.9, 1.1)
    """Zoom factor."""
    shear: tuple[float, float] = (-10.0, 10.0)
    """Degrees, along x."""
    apply_at: Literal["input", "features", "logits"] = "features"
    """What is transformed in the second path: the image, the features that enter the last
    attention block, or the auxiliary logits (released code; geometrically empty)."""


@dataclass(frozen=True)
class LossConfig:
    """The joint loss (equation 7): weight_ce·L_ce + weight_affine·L_AT + weight_spatial·L_S."""

    weight_ce: float = 1.2
    weight_affine: float = 0.3
    weight_spatial: float = 0.3
    spatial: Literal["soft", "hard"] = "soft"
    """``soft`` works on the softmax map and has a gradient; ``hard`` on the painted argmax
    image, as released: a number without a gradient."""
    affine: AffineConfig = field(default_factory=AffineConfig)


@dataclass(frozen=True)
class FitConfig:
    """The optimisation: SGD with momentum on one image."""

    steps: int = 50
    learning_rate: float = 0.36
    momentum: float = 0.9
    stop_labels: int = 0
    """Stop when at most this many labels are left; 0 never stops early."""
    stop_after: int = 6
    """Never stop before this many steps are done."""
    members: int = 1
    """Fits of every image, from different random parameters, that make one result together:
    the label maps' consensus, or with ``segment.choice=proposals`` the best of their clusters."""
    record_labels: bool = False
    """Keep the label map of every step; a run writes a choice of them as ``STEM.steps.png``."""


@dataclass(frozen=True)
class SegmentConfig:
    """From logits to masks: which cluster is the target, and how its mask is cleaned."""

    target: str = "auto"
    """``auto``, ``dark``, ``bright``, ``center``, ``point:X,Y`` or ``all``."""
    drop_border: bool = True
    """Leave out regions that touch the image's border, if any other region is left."""
    fill_holes: bool = True
    """Fill holes enclosed by the mask."""
    min_island: float = 0.001
    """Remove connected regions smaller than this fraction of the image; 0 keeps all."""
    choice: Literal["clusters", "proposals"] = "clusters"
    """Where an ``auto`` target is sought: ``clusters``, among those of the final label map;
    ``proposals``, among those of every step of every member."""
    boundary: Literal["clusters", "local"] = "clusters"
    """``clusters`` leaves the target's outline as the network drew it; ``local`` draws it anew,
    between the mean colours inside and outside of it nearby, at the image's own resolution."""
    boundary_level: float = 0.6
    """Where ``local`` draws the outline on the way from the inner mean (0) to the outer one (1)."""
    boundary_colors: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """How much red, green and blue count for ``local``. Blue alone suits skin, where melanin
    absorbs it most; of a grey image the three are equal anyhow."""


@dataclass(frozen=True)
class Config:
    """Everything that decides a segmentation, apart from the image and the seed."""

    preset: str = "paper"
    """Name of the preset this configuration was made from."""
    input: InputConfig = field(default_factory=InputConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    segment: SegmentConfig = field(default_factory=SegmentConfig)

    def __post_init__(self) -> None:
        _check_types(self, "")
        _validate(self)

    def replace(self, **changes: Any) -> Config:
        """A copy with fields replaced; a section takes a dict of its own changed fields.

        Values may be strings as typed on a command line. Raises :class:`ConfigError` for a
        field that does not exist or a value it can't take.

        >>> Config().replace(fit={"steps": 20}, loss={"affine": {"rotation": (-10, 10)}}).fit.steps
        20
        """
        return _replace(self, changes, "")

    def differences(self, other: Config) -> dict[str, Any]:
        """Return dotted name → own value of the fields that differ from those of ``other``."""
        return find_differences(self, other)

    def __str__(self) -> str:
        """Write one section a line, with values as the command's ``--set`` takes them."""
        return format_fields(self)

    def to_dict(self) -> dict[str, Any]:
        """Nested plain dict, with lists for tuples, as JSON holds it."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def digest(self) -> str:
        """Hash of every field that decides the result: the preset's name does not, nor does what
        is recorded on the way."""
        content = {k: v for k, v in self.to_dict().items() if k != "preset"}
        content["fit"]["record_labels"] = False
        text = json.dumps(content, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_config(config: Any) -> Config:
    """``config``; raises TypeError for anything but a :class:`Config`."""
    if isinstance(config, Config):
        return config
    name = isinstance(config, str)
    given = repr(config) if name else f"a {type(config).__name__}"
    advice = f"s3net_jax.preset({config!r})" if name else "s3net_jax.preset('best')"
    raise TypeError(f"config is {given}, where a Config is expected, such as {advice}.")


def parse_overrides(items: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """``["fit.steps=20", ...]`` as the nested dict that :meth:`Config.replace` takes."""
    tree: dict[str, Any] = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign or not name.strip():
            raise ConfigError(f"Can't read the setting {item!r}: write it as section.field=value.")
        *path, leaf = name.strip().split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise ConfigError(f"The setting {item!r} sets a field inside a field.")
        if isinstance(node.get(leaf), dict):
            raise ConfigError(f"The setting {item!r} replaces a whole section: name its fields.")
        node[leaf] = value.strip()
    return tree


@cache
def _get_hints(section: type) -> dict[str, Any]:
    return get_type_hints(section)


def _replace(section: Any, changes: Mapping[str, Any], path: str) -> Any:
    hints = _get_hints(type(section))
    new = {}
    for name, value in changes.items():
        full = f"{path}{name}"
        if name not in hints:
            names = [f"{path}{n}" for n in hints if n != "preset"]
            inner = [f"{n}.{name}" for n in names if hasattr(getattr(section, n, None), name)]
            hint = f" Did you mean {' or '.join(inner)}?" if inner else suggest_nearest(full, names)
            raise ConfigError(f"There is no field {full!r} in the configuration.{hint}")
        old = getattr(section, name)
        if dataclasses.is_dataclass(old):
            if isinstance(value, type(old)):
                new[name] = value
            elif isinstance(value, Mapping):
                new[name] = _replace(old, value, f"{full}.")
            else:
                raise ConfigError(f"{full!r} is a section: set its fields, as {full}.NAME=value.")
        else:
            new[name] = _convert(value, hints[name], full)
    return dataclasses.replace(section, **new)


def _convert(value: Any, hint: Any, name: str) -> Any:
    """``value`` as the annotated type; strings are read as a command line gives them."""
    try:
        if get_origin(hint) is Literal:
            if value not in get_args(hint):
                choices = [str(c) for c in get_args(hint)]
                raise ConfigError(
                    f"{name} can't be {value!r}.{suggest_nearest(str(value), choices)}"
                )
            return value
        if hint is bool:
            words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
            return value if isinstance(value, bool) else words[str(value).lower()]
        if hint is int:
            if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
                raise ValueError
            if abs(whole := int(value)) > _LARGEST:
                raise ValueError
            return whole
        if hint is float:
            if isinstance(value, bool) or not math.isfinite(number := float(value)):
                raise ValueError
            return number
        if get_origin(hint) is tuple:
            args = get_args(hint)
            parts = value.strip("()[]").split(",") if isinstance(value, str) else list(value)
            kinds = [args[0]] * len(parts) if args[-1] is Ellipsis else args
            if len(parts) != len(kinds):
                raise ValueError
            return tuple(_convert(p, k, name) for p, k in zip(parts, kinds, strict=True))
        return str(value)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{name} can't be {value!r}: it takes {_describe_type(hint)}.") from None


def _describe_type(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)


def _check_types(section: Any, path: str) -> None:
    """What :func:`_replace` converts has its type; what was built by hand may not."""
    for name, hint in _get_hints(type(section)).items():
        value, full = getattr(section, name), f"{path}{name}"
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, hint):  # pyright: ignore[reportArgumentType]
                raise ConfigError(
                    f"{full!r} is a section, not a {type(value).__name__}: take "
                    f"Config().replace({full}={{...}})."
                )
            _check_types(value, f"{full}.")
            continue
        exact = tuple if get_origin(hint) is tuple else int if hint is int else None
        if _convert(value, hint, full) != value or (exact and not isinstance(value, exact)):
            raise ConfigError(f"{full} can't be {value!r}: it takes {_describe_type(hint)}.")


def _validate(c: Config) -> None:
    m, f, a = c.model, c.fit, c.loss.affine

    def need(ok: bool, message: str) -> None:
        if not ok:
            raise ConfigError(message)

    need(16 <= c.input.size <= 4096, f"input.size is {c.input.size}: it must lie in 16..4096.")
    need(
        c.input.tile == 0 or c.input.tile >= 32,
        f"input.tile is {c.input.tile}: a tile has at least 32 pixels a side (0: no tiles).",
    )
    need(
        0.05 <= c.input.overlap <= 0.5,
        f"input.overlap is {c.input.overlap}: it must lie in 0.05..0.5.",
    )
    need(2 <= m.channels <= 1024, f"model.channels is {m.channels}: it must lie in 2..1024.")
    need(m.blocks >= 1, f"model.blocks is {m.blocks}: there must be at least one.")
    need(
        len(m.kernel_sizes) == len(m.dilations) >= 1,
        f"model.kernel_sizes has {len(m.kernel_sizes)} entries and model.dilations "
        f"{len(m.dilations)}: each branch needs one of both.",
    )
    for k in (m.local_kernel, m.deform_kernel, *m.kernel_sizes):
        need(
            k >= 1 and k % 2 == 1,
            f"A kernel size of the model is {k}: it must be odd and at least 1.",
        )
    need(all(d >= 1 for d in m.dilations), f"model.dilations is {m.dilations}: each must be ≥ 1.")
    need(f.steps >= 1, f"fit.steps is {f.steps}: there must be at least one step.")
    need(1 <= f.members <= 256, f"fit.members is {f.members}: it must lie in 1..256.")
    need(0 <= f.momentum < 1, f"fit.momentum is {f.momentum}: it must lie in [0, 1).")
    need(f.learning_rate > 0, f"fit.learning_rate is {f.learning_rate}: it must be positive.")
    for name in ("rotation", "translation", "scale", "shear"):
        low, high = getattr(a, name)
        need(low <= high, f"loss.affine.{name} is ({low}, {high}): the first must be the smaller.")
    need(a.scale[0] > 0, f"loss.affine.scale is {a.scale}: a zoom factor must be positive.")
    need(abs(a.shear[0]) < 80 and abs(a.shear[1]) < 80, "loss.affine.shear must stay within ±80°.")
    need(
        0 < c.segment.boundary_level < 1,
        f"segment.boundary_level is {c.segment.boundary_level}: it must lie between 0 and 1.",
    )
    need(
        min(c.segment.boundary_colors) >= 0 < sum(c.segment.boundary_colors),
        f"segment.boundary_colors is {c.segment.boundary_colors}: none may be negative, and not "
        "all zero.",
    )
    need(
        0 <= c.segment.min_island < 1,
        f"segment.min_island is {c.segment.min_island}: it is a fraction of the image, in [0, 1).",
    )
