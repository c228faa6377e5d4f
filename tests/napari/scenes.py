"""Pictures and results for tests of the plugin."""

from __future__ import annotations

import numpy as np

from s3net_jax.napari import Cut, Job, Session, Settings

__all__ = ["DARK", "GREY", "make_picture", "make_volume", "segment"]

DARK, GREY = (24, 20), (10, 52)
"""Pixels of the dark disc, and of the grey corner."""


def make_picture() -> np.ndarray:
    """Draw a bright picture, (48, 64, 3) uint8, with a dark disc and a grey corner."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:48, :64]
    grey = np.full((48, 64), 225)
    grey[(y < 20) & (x > 40)] = 128
    grey[np.hypot(y - DARK[0], x - DARK[1]) < 12] = 30
    grey += random.integers(-9, 10, grey.shape)
    return np.repeat(grey[..., None], 3, -1).astype(np.uint8)


def make_volume() -> np.ndarray:
    """Stack three of these pictures, (3, 48, 64) uint8; the first has one value everywhere."""
    picture = make_picture()[..., 0]
    return np.stack([np.full_like(picture, 225), picture, picture])


def segment(cut: Cut, target: str = "dark") -> Session:
    """Segment with the preset ``fast``; tests put a fake in the place of the fit."""
    job = Job(cut, Settings("fast", steps=2, target=target))
    session = job.run()
    assert session is not None, job.error
    return session
