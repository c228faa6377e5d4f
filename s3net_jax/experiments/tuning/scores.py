"""Score the labels after every step, under every protocol."""

from __future__ import annotations

import numpy as np
from PIL import Image as PilImage

from s3net_jax.config import Config
from s3net_jax.errors import InputError
from s3net_jax.evaluate import PROTOCOLS, Grid, Pair, dsc, read_truth, select_scored_masks
from s3net_jax.experiments.tuning.fits import Maps
from s3net_jax.io import Image, parse_window, prepare, read
from s3net_jax.masks import compact_labels, find_segments, rescale_target

__all__ = ["Scorer"]


class Scorer:
    """Score label maps of one image at network resolution.

    Scoring at image resolution would resize every label map. DSC hardly depends on the resolution,
    and the target is chosen on at most 256 pixels a side anyway.

    Attributes:
      pixels: (h, w, 3) float32 in [0, 1], the network's input.
    """

    def __init__(self, pair: Pair, config: Config) -> None:
        """Read image and ground truth; raise :class:`InputError` if either can't be used."""
        image = read(pair.image, parse_window(config.input.window))
        truth = read_truth(pair.truth, Grid(image.shape))
        self.pixels = prepare(image, config.input)
        size = self.pixels.shape[1], self.pixels.shape[0]
        box = PilImage.Resampling.BOX
        small = np.asarray(PilImage.fromarray(image.rgb8()).resize(size, box))
        share = PilImage.fromarray(truth.astype(np.float32)).resize(size, box)
        self._image = Image(small, image.name)
        self._truth = np.asarray(share) > 0.5
        if not self._truth.any():
            raise InputError(
                f"{pair.truth} marks too few pixels: it is empty at {size[0]}×{size[1]} pixels."
            )
        target = rescale_target(config.segment.target, image.shape, small.shape[:2], image.name)
        self._config = config.replace(segment={"target": target}).segment
        self._known: dict[bytes, dict[str, float]] = {}

    def __call__(self, maps: Maps, steps: tuple[int, ...]) -> dict[str, list[float]]:
        """Return protocol → DSC in percent after each of ``steps`` steps; 0 for diverged fits."""
        found = [self._score(maps[step - 1]) for step in steps]
        return {name: [round(scores[name], 3) for scores in found] for name in PROTOCOLS}

    def _score(self, labels: np.ndarray | None) -> dict[str, float]:
        if labels is None:
            return dict.fromkeys(PROTOCOLS, 0.0)
        compact = compact_labels(labels)
        key = compact.tobytes()  # late in a fit, labels stay the same for many steps
        if key not in self._known:
            mask = find_segments(compact, self._image, self._config).mask
            wanted = select_scored_masks(compact, mask, self._truth)
            self._known = {key: {name: dsc(*pair) for name, pair in wanted.items()}}
        return self._known[key]
