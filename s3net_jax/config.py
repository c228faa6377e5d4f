"""Define configurations as frozen, hashable dataclasses; ``presets.py`` has the named presets.

A configuration is static under ``jax.jit``. The few numbers that may change without
recompilation (the loss weights, learning rate and momentum) are extracted by
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


_LARGEST = 2**31 - 1  # compiled programs store integers as int32
_LATER = ("model.inception", "model.local_kernels")
"""Fields added after results with digests were published. A digest leaves them out at their
default, so that a configuration keeps the digest that earlier results carry. Never change such a
default: two configurations would have the same digest."""


@dataclass(frozen=True)
class InputConfig:
    """Preparation of an image as the network's input."""

    size: int = 256
    """Side in pixels of the (square) network input, in 16..4096."""
    aspect: Literal["square", "keep"] = "square"
    """``square`` stretches to size × size; ``keep`` scales the longer side to ``size`` and the
    shorter one to the nearest multiple of 16, which limits the number of compiled programs."""
    resize: Literal["antialias", "opencv"] = "antialias"
    """Cubic resampling with an anti-aliasing filter, or with OpenCV's 4×4 kernel (a = −0.75)."""
    channel_order: Literal["rgb", "bgr"] = "rgb"
    """Order of the colour channels; the released code feeds BGR."""
    window: str = "auto"
    """Values mapped to black and white in images of more than 8 bits: ``auto`` (percentiles), the
    CT windows ``lung``, ``soft`` and ``bone`` (Hounsfield units), or ``LOW,HIGH``."""
    axis: Literal["auto", "axial", "coronal", "sagittal"] = "auto"
    """Direction of a volume's slices; ``auto`` keeps the direction of acquisition."""
    tile: int = 0
    """Side in pixels of the tiles that a larger image is divided into, at least 32; each tile is
    fitted separately at ``size``. 0 disables tiling."""
    overlap: float = 0.25
    """Fraction of a tile's side that overlaps its neighbour, in 0.05..0.5."""


@dataclass(frozen=True)
class ModelConfig:
    """Architecture of the network (section 3.1 of the paper)."""

    channels: int = 64
    """Number of feature channels K, which is also the maximum number of clusters; in 2..1024."""
    blocks: int = 2
    """Number of attention blocks, at least 1."""
    block: Literal["attention", "conv"] = "attention"
    """``conv`` replaces every attention block by a plain 3×3 convolution (ablation)."""
    inception: Literal["dilated", "local"] = "dilated"
    """Convolutions of which each branch has its own. ``dilated``: one local convolution, then a
    dilated one for each branch (released code). ``local``: a local one for each branch, then its
    dilated one (equations 1 and 2 of the paper)."""
    local_kernel: int = 5
    """Odd size of the local depthwise convolution that the branches share with
    ``inception=dilated``."""
    local_kernels: tuple[int, ...] = (1, 3, 5)
    """Odd size of each branch's local depthwise convolution with ``inception=local``. The paper
    gives no sizes; the default is LKA's rule, 2d − 1 for dilation d."""
    kernel_sizes: tuple[int, ...] = (3, 5, 7)
    """Odd sizes of the parallel depthwise branches. ``(7,)`` with dilation 3 is VAN's LKA."""
    dilations: tuple[int, ...] = (1, 2, 3)
    """Dilation of each branch, at least 1."""
    residual: Literal["after_projection", "before_projection"] = "after_projection"
    """Position of the skip: ``proj(u) + x`` (released code) or ``proj(u + x)`` (paper's text)."""
    deform: Literal["predicted", "free", "conv", "none"] = "predicted"
    """``predicted``: offsets and mask are computed from the features; ``free``: they are
    parameters per pixel (released code; limits the parameters to one image size); ``conv``: a
    plain 3×3 convolution (ablation); ``none``: no such layer."""
    deform_kernel: int = 3
    """Odd size of the deformable convolution."""
    deform_init: Literal["default", "uniform"] = "default"
    """Initial kernel of the deformable convolution: fan-in uniform, or U[0, 1) (released code)."""
    color: Literal["none", "pixels", "released"] = "none"
    """``pixels`` adds a linear map of the pixel values to the score map; ``released`` is the
    released code's branch, which has rank one (paper.md, section 5.4)."""
    dtype: Literal["float32", "bfloat16", "float64"] = "float32"
    """Dtype of the activations. Parameters and statistics are float32, or float64 if dtype is
    float64, which requires ``JAX_ENABLE_X64=1``."""
    precision: Literal["default", "bfloat16"] = "default"
    """Precision of matrix products: ``bfloat16`` rounds their factors where the hardware multiplies
    those faster (a CPU with AMX); sums stay float32. Activations in bfloat16 imply it."""
    implementation: Literal["auto", "reference", "xla", "native", "pallas"] = "auto"
    """Implementation of the custom operators; ``auto`` selects the best available one."""


@dataclass(frozen=True)
class AffineConfig:
    """Ranges from which each step draws its affine transform, each parameter uniformly."""

    rotation: tuple[float, float] = (-45.0, 45.0)
    """Angle in degrees, counter-clockwise."""
    translation: tuple[float, float] = (-0.1, 0.1)
    """Shift as a fraction of the image's side, drawn separately for each axis."""
    scale: tuple[float, float] = (0.9, 1.1)
    """Zoom factor."""
    shear: tuple[float, float] = (-10.0, 10.0)
    """Shear angle in degrees along x, within ±80."""
    apply_at: Literal["input", "features", "logits"] = "features"
    """What the second path transforms: the image, the features that enter the last attention
    block, or the auxiliary logits (released code; the transform then has no geometric effect)."""


@dataclass(frozen=True)
class LossConfig:
    """The joint loss (equation 7): weight_ce·L_ce + weight_affine·L_AT + weight_spatial·L_S."""

    weight_ce: float = 1.2
    weight_affine: float = 0.3
    weight_spatial: float = 0.3
    spatial: Literal["soft", "hard"] = "soft"
    """``soft`` uses the softmax map and has a gradient; ``hard`` uses the argmax image painted in
    grey values, as released, and has no gradient."""
    affine: AffineConfig = field(default_factory=AffineConfig)


@dataclass(frozen=True)
class FitConfig:
    """Optimisation of the network on one image by SGD with momentum."""

    steps: int = 50
    learning_rate: float = 0.36
    momentum: float = 0.9
    stop_labels: int = 0
    """Stop when at most this many labels remain; 0 disables early stopping."""
    stop_after: int = 6
    """Minimum number of steps before early stopping."""
    members: int = 1
    """Number of fits of every image from different random parameters, in 1..256. Their results are
    combined: by consensus of the label maps, or with ``segment.choice=proposals`` by choosing the
    best of their clusters."""
    record_labels: bool = False
    """Keep the label map of every step; a run writes a selection as ``STEM.steps.png``."""


@dataclass(frozen=True)
class SegmentConfig:
    """Choice of the target cluster from the logits, and cleaning of its mask."""

    target: str = "auto"
    """``auto``, ``dark``, ``bright``, ``center``, ``point:X,Y`` or ``all``."""
    drop_border: bool = True
    """Exclude regions that touch the image's border, if any other region remains."""
    fill_holes: bool = True
    """Fill holes enclosed by the mask."""
    min_island: float = 0.001
    """Remove connected regions smaller than this fraction of the image, in [0, 1); 0 keeps all."""
    choice: Literal["clusters", "proposals"] = "clusters"
    """Candidates for an ``auto`` target: ``clusters`` are those of the final label map;
    ``proposals`` are those of every step of every member."""
    boundary: Literal["clusters", "local"] = "clusters"
    """``clusters`` keeps the target's outline as the network drew it; ``local`` redraws it at the
    image's own resolution, between the mean colours nearby inside and outside the outline."""
    boundary_level: float = 0.6
    """Position of the ``local`` outline between the inner mean (0) and the outer mean (1)."""
    boundary_colors: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Weights of red, green and blue for ``local``. Blue alone suits skin, because melanin
    absorbs it most; in a grey image the three channels are equal."""


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

    def __post_init__(self) -> None:
        _check_types(self, "")
        _validate(self)

    def replace(self, **changes: Any) -> Config:
        """Return a copy with fields replaced; a section takes a dict of its changed fields.

        Values may be strings as typed on a command line. Raise :class:`ConfigError` for a field
        that does not exist or a value that it does not accept.

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
        """Return a nested plain dict, with lists in place of tuples, as JSON stores it."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

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


def parse_overrides(items: list[str] | tuple[str, ...]) -> dict[str, Any]:
    """Parse ``["fit.steps=20", ...]`` into the nested dict for :meth:`Config.replace`."""
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
    """Convert ``value`` to the annotated type; strings are parsed as on a command line."""
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
        raise ConfigError(f"{name} can't be {value!r}: expected {_describe_type(hint)}.") from None


def _describe_type(hint: Any) -> str:
    return getattr(hint, "__name__", str(hint)) if get_origin(hint) is None else str(hint)


def _check_types(section: Any, path: str) -> None:
    """Check the types of fields built by hand; :func:`_replace` has already converted its own."""
    for name, hint in _get_hints(type(section)).items():
        value, full = getattr(section, name), f"{path}{name}"
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, hint):  # pyright: ignore[reportArgumentType]
                raise ConfigError(
                    f"{full!r} is a section, not a {type(value).__name__}: use "
                    f"Config().replace({full}={{...}})."
                )
            _check_types(value, f"{full}.")
            continue
        exact = tuple if get_origin(hint) is tuple else int if hint is int else None
        if _convert(value, hint, full) != value or (exact and not isinstance(value, exact)):
            raise ConfigError(f"{full} can't be {value!r}: expected {_describe_type(hint)}.")


def _validate(c: Config) -> None:
    m, f, a = c.model, c.fit, c.loss.affine

    def need(ok: bool, message: str) -> None:
        if not ok:
            raise ConfigError(message)

    need(16 <= c.input.size <= 4096, f"input.size must be in 16..4096, got {c.input.size}.")
    need(
        c.input.tile == 0 or c.input.tile >= 32,
        f"input.tile must be at least 32 pixels, or 0 for no tiles, got {c.input.tile}.",
    )
    need(
        0.05 <= c.input.overlap <= 0.5,
        f"input.overlap must be in 0.05..0.5, got {c.input.overlap}.",
    )
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
    need(0 <= f.momentum < 1, f"fit.momentum must be in [0, 1), got {f.momentum}.")
    need(f.learning_rate > 0, f"fit.learning_rate must be positive, got {f.learning_rate}.")
    for name in ("rotation", "translation", "scale", "shear"):
        low, high = getattr(a, name)
        need(
            low <= high, f"loss.affine.{name} must have its lower limit first, got ({low}, {high})."
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
        min(c.segment.boundary_colors) >= 0 < sum(c.segment.boundary_colors),
        "segment.boundary_colors must not be negative, nor all zero, got "
        f"{c.segment.boundary_colors}.",
    )
    need(
        0 <= c.segment.min_island < 1,
        f"segment.min_island must be a fraction in [0, 1), got {c.segment.min_island}.",
    )
