"""Which pictures of a TIFF file are segmented: along the axes that it declares, and what is not.

ImageJ, OME-TIFF, tifffile, LSM, MetaMorph, Micro-Manager and others each have a way of their own
to say what a file's pages are, or that several pictures follow one page; tifffile knows them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Plane", "Selection", "select_planes"]

# What axes (letters as tifffile has them) hold besides slices, in words.
_NAMES = {
    "A": "angle",
    "C": "channel",
    "E": "wavelength",
    "H": "phase",
    "I": "picture",
    "L": "exposure",
    "M": "mosaic tile",
    "P": "position",
    "Q": "picture",
    "R": "region",
    "T": "time point",
    "V": "event",
    "Z": "slice",
}
_UNDECLARED = ("generic", "uniform")  # tifffile's kinds of series that follow from pages alone
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_CHANNELS = 7
"""Most channels that are taken for channels where the file declares no other axis: ImageJ shows no
more, and writers that are not told better (tifffile's for ImageJ) declare slices as channels."""


@dataclass(frozen=True)
class Plane:
    """One picture (H, W) or (H, W, channels) of a file.

    Attributes:
      page: number of its page.
      part: its number among the pictures whose pixels follow one another behind that page.
    """

    page: int
    part: int = 0


@dataclass(frozen=True)
class Selection:
    """What is segmented of a file.

    Attributes:
      planes: the slices of a stack, or the one picture.
      parts: how many pictures each page stands for.
      notes: sentences on what is left out.
    """

    planes: tuple[Plane, ...]
    parts: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """The declared axes before (H, W), and where their pictures are: the pages in C order, None
    for one that the file does not have, with ``parts`` pictures each."""

    axes: str
    shape: tuple[int, ...]
    pages: tuple[int | None, ...]
    parts: int


def select_planes(file: Any, pages: Sequence[Any], name: str) -> Selection:
    """Slices are what the file has along Z; without Z its pages or pictures; without these its time
    points. Of every other axis only the first is taken, with a note. Reduced copies and
    transparency masks are no pages.

    Args:
      file: a tifffile.TiffFile that can't open other files.
      pages: all its pages, as tifffile.TiffPage.
      name: what notes call the file.

    Raises:
      ValueError: the pixels of several declared pictures are cut off.
    """
    layout = _find_layout(file, pages)
    if layout is None:
        full = [n for n, page in enumerate(pages) if not _is_subfile(page)] or [0]
        layout = _Layout("I", (len(full),), tuple(full), 1)
    planes, notes = _choose(layout, name)
    notes += _note_missing(file, pages, layout, name)
    notes += _note_others(pages, layout, name)
    return Selection(tuple(planes), layout.parts, tuple(notes))


def _is_subfile(page: Any) -> int:
    """Whether a page is a reduced copy or a mask of another: bits as in NewSubfileType."""
    kind = int(page.subfiletype) & (_REDUCED | _MASK)
    old = page.tags.get(255)  # SubfileType, which NewSubfileType replaced
    if old is not None and old.value == 2:
        kind |= _REDUCED
    return kind | _MASK if page.photometric == 4 else kind


def _find_layout(file: Any, pages: Sequence[Any]) -> _Layout | None:
    """The declared axes; None where nothing is declared, or nothing that fits the pages."""
    try:
        series = list(file.series)
    except Exception:  # metadata that tifffile does not understand: the pages speak for themselves
        return None
    deep = pages[0].axes.startswith("Z")  # a page that is a volume itself
    if not series or (series[0].kind in _UNDECLARED and not deep):
        return None
    main = next((one for one in series if not _is_subfile(one.keyframe)), series[0])
    places = {page.offset: n for n, page in enumerate(pages)}
    found = tuple(page if page is None else places.get(page.offset, -1) for page in main)
    first = next((n for n in found if n is not None), -1)
    if -1 in found or first < 0:
        return None
    size = math.prod(pages[first].shape[pages[first].axes.count("Z") :])
    count, rest = divmod(math.prod(main.shape), size)
    if rest or count < 1 or count % len(found):
        return None
    fitting = [n for n in range(len(main.shape) + 1) if math.prod(main.shape[:n]) == count]
    if not fitting:
        return None
    ahead = fitting[-1]
    axes, shape = main.axes[:ahead], tuple(int(side) for side in main.shape[:ahead])
    return _Layout(axes, shape, found, count // len(found))


def _choose(layout: _Layout, name: str) -> tuple[list[Plane], list[str]]:
    """The planes that are slices, and notes on what the other axes hold."""
    lengths = list(zip(layout.axes, layout.shape, strict=True))
    long = {axis for axis, length in lengths if length > 1}
    wanted = next((group for group in ("Z", "IQ", "T") if long & set(group)), "")
    if long == {"C"} and max(layout.shape) > _CHANNELS:
        wanted = "C"
    inner = [n for n, (axis, _) in enumerate(lengths) if axis in wanted]
    outer = [n for n in range(len(lengths)) if n not in inner]
    numbers = np.arange(math.prod(layout.shape)).reshape(layout.shape)
    slices = math.prod(layout.shape[n] for n in inner)
    table = numbers.transpose(*outer, *inner).reshape(-1, slices)
    there = np.array([page is not None for page in layout.pages])[table // layout.parts]
    row = int(there.any(1).argmax())  # the first that the file has anything of
    planes = []
    for number in table[row][there[row]]:
        page = layout.pages[int(number) // layout.parts]
        assert page is not None
        planes.append(Plane(page, int(number) % layout.parts))
    others = [lengths[n] for n in outer]
    place = np.unravel_index(row, [length for _, length in others]) if others else ()
    notes = [f"{name} declares {slices} channels; they are taken as slices."] * (wanted == "C")
    return planes, notes + _note_axes(others, [int(n) for n in place], slices, len(planes), name)


def _note_axes(
    others: list[tuple[str, int]], place: list[int], slices: int, found: int, name: str
) -> list[str]:
    notes = []
    left = [(axis, n, at) for (axis, n), at in zip(others, place, strict=True) if n > 1]
    if left:
        held = _join_words(
            [f"{n} {_NAMES.get(axis, f'layers along {axis}')}s" for axis, n, _ in left]
        )
        if any(at for _, _, at in left):
            kept = " of ".join(f"{_NAMES.get(axis, axis)} {at + 1}" for axis, _, at in left)
        else:
            kept = "the first of each" if len(left) > 1 else "the first"
        notes.append(f"{name} has {held}; only {kept} is segmented.")
    if found < slices:
        notes.append(
            f"{name} declares {slices} slices, but the file has only {found} of them; those are "
            "segmented."
        )
    return notes


def _note_missing(file: Any, pages: Sequence[Any], layout: _Layout, name: str) -> list[str]:
    """A note if the file declares more pictures than it has; ValueError if their pixels are cut."""
    declared, page = _read_declared_count(file, pages[0]), pages[0]
    found = len(layout.pages) * layout.parts
    samples = int(page.samplesperpixel)  # which some programs declare as channels
    if declared <= max(found, len(pages)) * samples:
        return []
    behind = (file.filehandle.size - min(page.dataoffsets)) // page.nbytes if page.nbytes else 0
    if len(pages) == 1 and page.compression == 1 and behind > 1:
        raise ValueError(f"it declares {declared} pictures and ends after {behind}")
    return [f"{name} declares {declared} pictures, but the file has only {found}."]


def _read_declared_count(file: Any, page: Any) -> int:
    """Pictures that ImageJ's or tifffile's description of the first page counts."""
    try:
        if file.is_imagej:
            meta = file.imagej_metadata or {}
            sides = (meta.get(key, 1) for key in ("channels", "slices", "frames"))
            return max(int(meta.get("images", 1)), math.prod(int(side) for side in sides))
        if file.is_shaped:
            shape = file.shaped_metadata[0]["shape"]
            return math.prod(int(side) for side in shape) // math.prod(page.shape)
    except Exception:  # a description that is none
        pass
    return 1


def _note_others(pages: Sequence[Any], layout: _Layout, name: str) -> list[str]:
    """What the file holds besides the pages of its axes."""
    used = {n for n in layout.pages if n is not None}
    first = pages[min(used)]
    start = min(first.dataoffsets, default=0)
    end = start + layout.parts * first.nbytes
    rest = [
        _is_subfile(page)
        for n, page in enumerate(pages)
        # Pages may describe once more the pictures that follow the first one.
        if n not in used and not (layout.parts > 1 and start <= min(page.dataoffsets) < end)
    ]
    further = 0
    if first.subifds:  # levels of a pyramid; of a raw photograph's thumbnail the photograph
        if _is_subfile(first):
            further = len(first.subifds)
        else:
            rest += [_REDUCED] * len(first.subifds)
    masks = sum(bool(kind & _MASK) for kind in rest)
    copies = sum(kind == _REDUCED for kind in rest)
    counts = (
        (len(rest) - masks - copies + further, "further picture", "further pictures"),
        (copies, "reduced copy", "reduced copies"),
        (masks, "transparency mask", "transparency masks"),
    )
    held = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    verb = "is" if sum(count for count, _, _ in counts) == 1 else "are"
    return [f"{name} also holds {_join_words(held)}, which {verb} not segmented."] if held else []


def _join_words(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
