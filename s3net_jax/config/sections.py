"""The sections of a configuration that all methods share, and those of S3-Net."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "LARGEST_SIZE",
    "AffineConfig",
    "FitConfig",
    "InputConfig",
    "LossConfig",
    "ModelConfig",
    "SegmentConfig",
]

LARGEST_SIZE = 4096
"""Largest side in pixels of a network input."""


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
    slices: str = "all"
    """Slices of a volume that are segmented, numbered from 1: ``all``, ``A:B`` (both included),
    ``A:`` or ``:B``. The others get label 0 and an empty mask."""
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
    spatial: Literal["soft", "hard", "edge"] = "soft"
    """``soft`` uses the softmax map and has a gradient; ``hard`` uses the argmax image painted in
    grey values, as released, and has no gradient; ``edge`` compares the softmax of neighbours,
    weighted by how similar their colours are (:func:`s3net_jax.losses.edge_aware_consistency`)."""
    edge_scale: float = 0.1
    """Difference of colours in [0, 1] that ``spatial=edge`` takes for an edge, above 0; not
    tuned."""
    affine: AffineConfig = field(default_factory=AffineConfig)


@dataclass(frozen=True)
class FitConfig:
    """Optimisation of the network on one image by SGD with momentum."""

    steps: int = 50
    learning_rate: float = 0.36
    momentum: float = 0.9
    offset_rate: float = 1.0
    """Factor of the learning rate for the offsets of deformable layers, in [0, 10]; 0 keeps them as
    they were drawn. Detectors with deformable layers often use 0.1."""
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
    volume: Literal["slices", "shared"] = "slices"
    """Networks of a volume: ``slices`` fits one to every slice, and matches labels between slices;
    ``shared`` trains one on ``slices`` slices that are spread over the volume, and applies it to
    all, so that a label means the same everywhere and the target is chosen once, in 3D."""
    slices: int = 8
    """Number of slices on which the network of ``volume=shared`` is trained, in 1..256. Values from
    2 to 16 gave the same DSC of ``dark`` within 0.3 points on a CT and a drawn trunk
    (docs/volumes.md); eight show organs that only a part of a long scan has."""


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
    clusters: int = 0
    """Number of clusters of the label map, at least 2: the most similar ones are merged until so
    many are left. 0 keeps all that were found. The mask does not depend on it."""
    choice: Literal["clusters", "proposals", "traits"] = "clusters"
    """Candidates for an ``auto`` target: ``clusters`` are those of the final label map;
    ``proposals`` are those of every step of every member; ``traits`` adds parts that are darker
    than a smooth background, and chooses by ten traits with fitted weights."""
    boundary: Literal["clusters", "local"] = "clusters"
    """``clusters`` keeps the target's outline as the network drew it; ``local`` redraws it at the
    image's own resolution, between the mean colours nearby inside and outside the outline."""
    boundary_level: float = 0.6
    """Position of the ``local`` outline between the inner mean (0) and the outer mean (1)."""
    boundary_reach: float = 0.0
    """How far the ``local`` outline may move, as a fraction of the square root of the target's
    area, in [0, 10]; 0 does not limit it."""
    boundary_colors: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Weights of red, green and blue for ``local``. Blue alone suits skin, because melanin
    absorbs it most; in a grey image the three channels are equal."""
