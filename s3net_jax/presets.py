"""Define the named presets: best masks, the paper, its code, a fast preview, other methods."""

from __future__ import annotations

from collections.abc import Callable

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["DEFAULT_PRESET", "PRESETS", "preset", "register_preset"]

DEFAULT_PRESET = "best"
"""Default preset of the command and of ``segment``, chosen because its masks are the best of all
presets on skin and lungs (``docs/quality.md``)."""


def paper() -> Config:
    """Follow the paper: weights 1.2, 0.3, 0.3; rate 0.36; 50 steps; differentiable losses."""
    # Two departures from the text, for the reasons in docs/differences.md: L_S is a mean, and L_AT
    # a mean over the valid pixels. The inception has the order of equations 1 and 2, which give no
    # local sizes: model.local_kernels keeps its default (1, 3, 5).
    return Config().replace(model={"inception": "local", "residual": "before_projection"})


def paper_lung() -> Config:
    """Follow the paper's lung settings: weights 1, 0.5, 0.6; pixel values added to the scores."""
    return paper().replace(
        preset="paper-lung",
        model={"color": "pixels"},
        loss={"weight_ce": 1.0, "weight_affine": 0.5, "weight_spatial": 0.6},
    )


def released() -> Config:
    """Reproduce the authors' code with its default settings, including its quirks."""
    fixed = {"rotation": (90, 90), "translation": (0, 0), "scale": (1, 1), "shear": (0, 0)}
    return Config().replace(
        preset="released",
        input={"resize": "opencv", "channel_order": "bgr"},
        model={"deform": "free", "deform_init": "uniform"},
        loss={
            "weight_ce": 3.5,
            "weight_affine": 0.2,
            "weight_spatial": 4.0,
            "spatial": "hard",
            "affine": {"apply_at": "logits", **fixed},
        },
        fit={"learning_rate": 0.2, "stop_labels": 3},
    )


def fast() -> Config:
    """Preview quickly: 128 pixels, 24 channels, one block, 25 steps, and the released order of the
    inception; otherwise like ``paper``."""
    return paper().replace(
        preset="fast",
        input={"size": 128},
        # One local convolution for all branches is less work than one for each, and earlier
        # results keep their digest.
        model={"channels": 24, "blocks": 1, "inception": "dilated"},
        fit={"steps": 25},
    )


def best() -> Config:
    """Make good masks fast: four short fits at 128 pixels propose targets, the image decides."""
    return released().replace(
        preset="best",
        input={"size": 128},
        model={"channels": 24},
        fit={"steps": 8, "stop_labels": 0, "members": 4},
        segment={"choice": "proposals", "boundary": "local"},
    )


def robust() -> Config:
    """Fail on fewer pictures than ``best``: the same fits, but a target chosen by its traits among
    proposals and dark parts, and an outline that stays near it."""
    return best().replace(
        preset="robust",
        # Without a limit, outlines of small targets in ultrasound spread: mean DSC 29 instead of 55
        # on 16 images of BUSI. Means of reaches of 0.15, 0.25 and 0.4 differed by at most 2.3
        # points on each of seven development sets, about 90 images of both halves.
        segment={"choice": "traits", "boundary_reach": 0.4},
    )


def ms_former() -> Config:
    """Run MS-Former with its authors' settings, but a cubic kernel to resize images.

    They resize with OpenCV's linear kernel, which ``input.resize`` does not offer.
    """
    return Config().replace(
        preset="ms-former",
        method={"name": "ms-former"},
        input={"size": 257, "resize": "opencv", "channel_order": "bgr"},
        model={"channels": 100},
        loss={"weight_ce": 1.0},
        fit={"learning_rate": 0.1, "stop_labels": 3, "stop_after": 1},
    )


def sgscn() -> Config:
    """SGSCN as its released code runs it, except at 256 pixels for comparison: at most 50 steps.

    The code reads images with OpenCV, so in BGR, and keeps their size.
    """
    return _make_response_preset("sgscn")


def dfc() -> Config:
    """DFC (Kanezaki and others, 2020) with 50 steps at 256 pixels, as SGSCN.

    The released code keeps the image's size and runs at most 1000 steps: ``--set fit.steps=1000``.
    """
    return _make_response_preset("dfc")


def slic_backprop() -> Config:
    """Superpixel refinement (Kanezaki, 2018) with 50 steps at 256 pixels, as SGSCN.

    The released code keeps the image's size and runs at most 1000 steps: ``--set fit.steps=1000``.
    It asks SLIC for 10,000 superpixels of any image; at 256 pixels these are 7225 of 9 pixels each.
    """
    return _make_response_preset("slic-backprop")


def _make_response_preset(name: str) -> Config:
    """Make the preset of a method with the network of Kanezaki: its settings are all the same."""
    return Config().replace(
        preset=name,
        method={"name": name},
        input={"channel_order": "bgr"},
        model={"channels": 100},
        loss={"weight_ce": 1.0},
        # The count of every step is checked, from the first on.
        fit={"learning_rate": 0.1, "stop_labels": 3, "stop_after": 1},
    )


def iic_image() -> Config:
    """IIC trained on the image itself (our adaptation): random crops take the place of a data
    set, and the trunk has a quarter of the published channels."""
    # Chosen on three images of PH² at 96 pixels, seed 0, by the best union of clusters: mean DSC
    # .57 with eight crops of half the side, .63 with four of ¾. Affine transforms, tried on two of
    # the images, did not help. In small crops the padding probably tells the network where a pixel
    # is, so that clusters become places. Whole images, tried on one, gave blobs that ignore the
    # picture. Learning rates of 1e-3 and 3e-3 are alike. The published width of 64 needs about 16
    # times the operations: many minutes on a CPU.
    return Config().replace(
        preset="iic-image",
        input={"size": 128},
        model={"channels": 3},
        fit={"learning_rate": 1e-3},
        method={
            "name": "iic",
            "trained_on": "image",
            "width": 16,
            "crops": 4,
            "crop_side": 0.75,
            "displacement": 5,
            "brightness": 0.1,
            "contrast": 0.1,
            "saturation": 0.1,
            "hue": 0.1,
        },
    )


def iic() -> Config:
    """IIC: one network trained on all images, with the published settings for COCO-Stuff-3."""
    return Config().replace(
        preset="iic",
        input={"size": 128},
        model={"channels": 3},
        fit={"steps": 2000, "learning_rate": 1e-4},
        method={"name": "iic"},
    )


def deepcluster_image() -> Config:
    """DeepCluster trained on the pixels of the image itself (our adaptation)."""
    return Config().replace(
        preset="deepcluster-image",
        method={"name": "deepcluster"},
        model={"channels": 100},
        # Learning rate, momentum and weight decay as published.
        loss={"weight_ce": 1},
        fit={"steps": 20, "learning_rate": 0.05},
    )


def deepcluster() -> Config:
    """DeepCluster: one network trained on the pixels of all images."""
    # One SGD step after each clustering of a mini-batch: many rounds pass over the folder.
    return deepcluster_image().replace(
        preset="deepcluster",
        fit={"steps": 200},
        method={"trained_on": "folder", "inner": 1, "flip": True, "jitter": 0.1},
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "best": best,
    "robust": robust,
    "paper": paper,
    "paper-lung": paper_lung,
    "released": released,
    "fast": fast,
    "sgscn": sgscn,
    "dfc": dfc,
    "slic-backprop": slic_backprop,
    "ms-former": ms_former,
    "iic-image": iic_image,
    "iic": iic,
    "deepcluster-image": deepcluster_image,
    "deepcluster": deepcluster,
}


def preset(name: str) -> Config:
    """Return the preset with the given name.

    Args:
      name: name in :data:`PRESETS`.

    Raises:
      ConfigError: the preset does not exist; the message suggests similar names.
      TypeError: ``name`` is not a string.
    """
    if not isinstance(name, str):
        hint = ": pass it as config=" if isinstance(name, Config) else ""
        raise TypeError(f"preset is a {type(name).__name__}, where a name is expected{hint}.")
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}.{suggest_nearest(name, list(PRESETS))}")
    return PRESETS[name]()


def register_preset(name: str, make: Callable[[], Config]) -> None:
    """Make a configuration known as a preset of this process, such as one of a custom method.

    Args:
      name: name of the preset; one that was registered before is replaced.
      make: function that returns the configuration, whose ``preset`` must be ``name``.

    Raises:
      ValueError: ``name`` is a preset of s3net_jax, or ``make()`` has another name.
    """
    if name in _BUILT_IN:
        raise ValueError(f"{name!r} is a preset of s3net_jax: choose another name.")
    if (given := make().preset) != name:
        raise ValueError(f"The configuration of the preset {name!r} has preset={given!r}.")
    PRESETS[name] = make


_BUILT_IN = frozenset(PRESETS)
