"""Make the pictures of the site: `python examples/make_gallery.py` writes docs/images and
docs/gallery.md.

Every picture is what `s3net segment` writes as STEM.overlay.png for a picture that comes with
scikit-image, under a licence that allows publication, or for a synthetic one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from skimage import data
from synthetic import draw_ct_volume, draw_lesion

from s3net_jax.cli import main as s3net

DOCS = Path(__file__).parents[1] / "docs"
GREY_OUTLINE = ("--set", "segment.boundary_colors=1,1,1")
"""For pictures of anything but skin: the default outline uses blue light only."""


@dataclass(frozen=True)
class Item:
    """One picture of the gallery.

    Attributes:
      name: name of its files.
      draw: function that returns the pixels, (H, W) or (H, W, 3).
      options: options of `s3net segment`.
      caption: what the picture shows, and how well the mask fits.
      source: where the picture comes from, and its licence.
    """

    name: str
    draw: Callable[[], np.ndarray]
    options: tuple[str, ...]
    caption: str
    source: str


def window_lungs(values: np.ndarray) -> np.ndarray:
    """Show Hounsfield units from -1350 to 150, the usual lung window, as grey levels."""
    return ((values + 1350) / 1500 * 255).clip(0, 255).astype(np.uint8)


ITEMS = (
    Item(
        "lesion",
        lambda: draw_lesion(seed=0)[0],
        (),
        "A skin lesion with hairs: the kind of picture that the default preset is made for.",
        "Synthetic, drawn by `examples/synthetic.py`.",
    ),
    Item(
        "ct",
        lambda: window_lungs(draw_ct_volume(size=256)[0][6]),
        (),
        "A slice of a chest CT: both lungs, without the air around the body.",
        "Synthetic, drawn by `examples/synthetic.py`.",
    ),
    Item(
        "glands",
        data.immunohistochemistry,
        ("--target", "dark", *GREY_OUTLINE, "--set", "segment.drop_border=false"),
        "Colonic glands, stained brown, on blue-stained tissue. Most of them touch the border, so "
        "`segment.drop_border=false` keeps them.",
        "`skimage.data.immunohistochemistry`, Center for Microscopy and Molecular Imaging; no "
        "known copyright restrictions.",
    ),
    Item(
        "cell",
        data.cell,
        GREY_OUTLINE,
        "A cell floating in saline, as a quantitative phase image.",
        "`skimage.data.cell`, Paul Müller et al.; CC0.",
    ),
    Item(
        "coins",
        data.coins,
        ("--target", "bright", *GREY_OUTLINE, "--set", "segment.drop_border=false"),
        "Coins on an uneven background. Several objects share one mask, and the bright part of the "
        "background at the top is taken for a coin.",
        "`skimage.data.coins`, Brooklyn Museum Collection; no known copyright restrictions.",
    ),
    Item(
        "galaxies",
        lambda: data.hubble_deep_field()[:400, :400],
        ("--target", "bright", *GREY_OUTLINE),
        "Part of the Hubble eXtreme Deep Field. Small and faint galaxies are lost at 128×128 "
        "pixels.",
        "`skimage.data.hubble_deep_field`, NASA; public domain.",
    ),
    Item(
        "cup",
        data.coffee,
        GREY_OUTLINE,
        "**A failure.** There is no single colour that tells the cup from its surroundings, and "
        "the mask shows the spoon.",
        "`skimage.data.coffee`, Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0.",
    ),
    Item(
        "cat",
        data.chelsea,
        GREY_OUTLINE,
        "**A failure.** Everyday photographs need a model that knows objects.",
        "`skimage.data.chelsea`, Stéfan van der Walt; CC0.",
    ),
)


def segment(item: Item, folder: Path) -> Image.Image:
    """Run the command on one picture and return its overlay."""
    picture = folder / f"{item.name}.png"
    Image.fromarray(item.draw()).save(picture)
    out = folder / f"{item.name}-results"
    words = ["segment", str(picture), "--out", str(out), "--quiet"]
    if code := s3net([*words, *item.options]):
        sys.exit(f"{item.name}: the command ended with {code}")
    return Image.open(out / f"{item.name}.overlay.png").convert("RGB")


def write_page() -> None:
    """Write docs/gallery.md."""
    lines = [
        "# Gallery",
        "",
        "Each picture shows the input, its clusters, and the outline of the target, as "
        "`s3net segment` writes them. Failures are included. `python examples/make_gallery.py` "
        "makes all pictures and this page.",
        "",
        '<div class="gallery" markdown>',
    ]
    for item in ITEMS:
        options = " ".join(item.options)
        command = f"s3net segment {item.name}.png --out results {options}".rstrip()
        text = item.caption.removeprefix("**A failure.** ")
        lines += [
            "",
            "<figure markdown>",
            "",
            f"[![{text}](images/gallery/{item.name}.webp)](images/gallery/{item.name}.webp)",
            "",
            "<figcaption markdown>",
            "",
            f"{item.caption}<br>`{command}`<br>*Source: {item.source}*",
            "",
            "</figcaption>",
            "</figure>",
        ]
    (DOCS / "gallery.md").write_text("\n".join([*lines, "", "</div>", ""]), encoding="utf-8")


def write_icon() -> None:
    """Draw the icon that a browser shows in a tab: a target and its outline."""
    icon = Image.new("RGBA", (128, 128))
    draw = ImageDraw.Draw(icon)
    draw.rounded_rectangle((0, 0, 127, 127), 28, fill=(0, 137, 123))
    draw.ellipse((28, 36, 100, 96), fill=(255, 255, 255), outline=(255, 171, 64), width=9)
    icon.resize((64, 64), Image.Resampling.LANCZOS).save(DOCS / "images/favicon.png")


def main() -> None:
    """Write every picture, the icon and the page."""
    (DOCS / "images/gallery").mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for item in ITEMS:
            overlay = segment(item, Path(folder))
            overlay.save(DOCS / f"images/gallery/{item.name}.webp", quality=82, method=6)
            print(item.name, flush=True)
            if item.name == "glands":  # a real picture stands for all
                wide = (1000, round(1000 * overlay.height / overlay.width))
                strip = overlay.resize(wide, Image.Resampling.LANCZOS)
                strip.save(DOCS / "images/strip.webp", quality=80, method=6)
        Image.fromarray(draw_lesion(seed=0)[0]).save(DOCS / "images/lesion.png", optimize=True)
    write_icon()
    write_page()


if __name__ == "__main__":
    main()
