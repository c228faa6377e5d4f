"""Experiment files and data sets for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image as PilImage

from tests.pictures import save_lesion

__all__ = ["ABLATION", "COMPARISON", "TINY", "TUNING", "save_data", "write"]

TINY = """
[set]
input.size = 32
model.channels = 4
model.blocks = 1
model.block = "conv"
model.deform = "none"
fit.steps = 3
"""
ABLATION = f"""
kind = "ablation"
title = "terms"
preset = "fast"
reference = "both"
{TINY}
[[variants]]
name = "no L_S"
set.loss = {{ weight_spatial = 0 }}
paper.skin = {{ dsc = 86.4, hm = 22.2 }}
[[variants]]
name = "both"
[data.skin]
images = "skin/images"
masks = "skin/masks"
"""
COMPARISON = """
kind = "comparison"
title = "methods"
[[methods]]
preset = "fast"
set = { input = { size = 32 }, model = { channels = 4 }, fit = { steps = 3 } }
paper.other = { dsc = 88 }
[[methods]]
preset = "fast"
name = "bright"
seeds = 2
set = { input.size = 32, model.channels = 4, fit.steps = 3, segment.target = "bright" }
[[methods]]
baseline = "k-means on RGB"
clusters = 3
[[methods]]
name = "MS-Former"
paper.skin = { dsc = 86.0, hm = 23.1, xor = 25.9 }
[data.skin]
images = "skin/images"
masks = "skin/masks"
[data.other]
images = "other/images"
masks = "other/masks"
limit = 1
"""
TUNING = f"""
kind = "tuning"
title = "search"
preset = "paper"
{TINY}
[grid]
loss.weight_spatial = [0, 0.3]
fit.learning_rate = [0.1, 0.36, 1e30]
[data.skin]
images = "skin/images"
masks = "skin/masks"
"""


def write(text: str, name: str = "experiment.toml") -> str:
    Path(name).write_text(text)
    return name


def save_data(folder: str, names: str = "ab") -> None:
    """``images`` and ``masks`` with a picture for each letter."""
    (Path(folder) / "masks").mkdir(parents=True)
    for n, name in enumerate(names):
        truth = save_lesion(Path(folder) / f"images/{name}.png", seed=n, shape=(60, 70))
        PilImage.fromarray(truth.astype(np.uint8) * 255).save(f"{folder}/masks/{name}.png")
