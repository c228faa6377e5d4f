"""Named presets: the best masks, the paper's text, the released code, and a quick look."""

from __future__ import annotations

from collections.abc import Callable

from s3net_jax.config import Config
from s3net_jax.errors import ConfigError, suggest_nearest

__all__ = ["DEFAULT_PRESET", "PRESETS", "preset"]

DEFAULT_PRESET = "best"
"""Preset of the command and of ``segment`` where none is given: the best masks on skin and lungs of
all presets (``docs/quality.md``)."""


def paper() -> Config:
    """The paper's text: 1.2, 0.3, 0.3; learning rate 0.36; 50 steps; losses with gradients."""
    return Config().replace(model={"residual": "before_projection"})


def paper_lung() -> Config:
    """``paper`` with the paper's lung settings: 1, 0.5, 0.6, and pixel values in the scores."""
    return paper().replace(
        preset="paper-lung",
        model={"color": "pixels"},
        loss={"weight_ce": 1.0, "weight_affine": 0.5, "weight_spatial": 0.6},
    )


def released() -> Config:
    """What the authors' code computes, with its defaults, quirks included."""
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
    """A quick look: 128 pixels, 24 channels, one block, 25 steps; otherwise ``paper``."""
    return paper().replace(
        preset="fast",
        input={"size": 128},
        model={"channels": 24, "blocks": 1},
        fit={"steps": 25},
    )


def best() -> Config:
    """Good masks, quickly: four short fits at 128 pixels propose, the image itself decides."""
    return released().replace(
        preset="best",
        input={"size": 128},
        model={"channels": 24},
        fit={"steps": 8, "stop_labels": 0, "members": 4},
        segment={"choice": "proposals", "boundary": "local"},
    )


def iic_image() -> Config:
    """IIC trained on the image itself, an adaptation of ours: random crops take the place of a data
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
    """IIC trained on a folder, with the published settings for COCO-Stuff-3; see
    :func:`s3net_jax.fitting.fit_dataset`."""
    return Config().replace(
        preset="iic",
        input={"size": 128},
        model={"channels": 3},
        fit={"steps": 2000, "learning_rate": 1e-4},
        method={"name": "iic"},
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "best": best,
    "paper": paper,
    "paper-lung": paper_lung,
    "released": released,
    "fast": fast,
    "iic-image": iic_image,
    "iic": iic,
}


def preset(name: str) -> Config:
    """The preset called ``name``; raises :class:`ConfigError` naming the near ones if unknown, and
    TypeError for anything but a name."""
    if not isinstance(name, str):
        hint = ": pass it as config=" if isinstance(name, Config) else ""
        raise TypeError(f"preset is a {type(name).__name__}, where a name is expected{hint}.")
    if name not in PRESETS:
        raise ConfigError(f"There is no preset {name!r}.{suggest_nearest(name, list(PRESETS))}")
    return PRESETS[name]()
