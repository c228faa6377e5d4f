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


def deepcluster_image() -> Config:
    """DeepCluster trained on the pixels of the image itself, an adaptation of ours."""
    return Config().replace(
        preset="deepcluster-image",
        method={"name": "deepcluster"},
        model={"channels": 100},
        # Learning rate, momentum and weight decay as published.
        loss={"weight_ce": 1},
        fit={"steps": 20, "learning_rate": 0.05},
    )


PRESETS: dict[str, Callable[[], Config]] = {
    "best": best,
    "paper": paper,
    "paper-lung": paper_lung,
    "released": released,
    "fast": fast,
    "deepcluster-image": deepcluster_image,
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
