"""Select the pictures of a TIFF file to segment, from the axes that its metadata declare.

ImageJ, OME-TIFF, tifffile, LSM, MetaMorph, Micro-Manager and others each have their own metadata
for the axes of the pages and for several pictures behind one page; tifffile parses them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Plane", "Selection", "select_planes"]

# Names of what lies along each axis (tifffile's letters), for notes.
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
_UNDECLARED = ("generic", "uniform")  # tifffile's series kinds for files without axis metadata
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_CHANNELS = 7
"""Largest number of channels that count as channels if no other axis is declared; more count as
slices. ImageJ shows at most 7, and writers without axis information (tifffile's for ImageJ) declare
slices as channels."""


@dataclass(frozen=True)
class Plane:
    """Position of one picture, (H, W) or (H, W, channels), in a file.

    Attributes:
      page: index of its page.
      part: index among the pictures stored consecutively behind that page.
    """

    page: int
    part: int = 0


@dataclass(frozen=True)
class Selection:
    """The pictures of a file that are segmented.

    Attributes:
      planes: slices of a stack, or the single picture.
      parts: number of pictures behind each page.
      notes: sentences about what is left out.
    """

    planes: tuple[Plane, ...]
    parts: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Layout:
    """The declared axes before (H, W), and the pages along them.

    Attributes:
      axes: letters of the axes.
      shape: lengths of the axes.
      pages: page indices in C order; None for a page missing from the file.
      parts: number of pictures behind each page.
    """

    axes: str
    shape: tuple[int, ...]
    pages: tuple[int | None, ...]
    parts: int


def select_planes(file: Any, pages: Sequence[Any], name: str) -> Selection:
    """Select the slices of a file.

    Slices are the pictures along Z; without Z, the pages or pictures; without these, the time
    points. Of every other axis only the first position is used, and a note reports it. Reduced
    copies and transparency masks do not count as pages.

    Args:
      file: tifffile.TiffFile that cannot open other files.
      pages: all pages of the file, as tifffile.TiffPage.
      name: name of the file in notes.

    Raises:
      ValueError: the file declares several pictures and its pixels are truncated.
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
    """Return bits of NewSubfileType: whether a page is a reduced copy or a mask of another."""
    kind = int(page.subfiletype) & (_REDUCED | _MASK)
    old = page.tags.get(255)  # SubfileType, which NewSubfileType replaced
    if old is not None and old.value == 2:
        kind |= _REDUCED
    return kind | _MASK if page.photometric == 4 else kind


def _find_layout(file: Any, pages: Sequence[Any]) -> _Layout | None:
    """Return the declared axes, or None if there are none or they do not fit the pages."""
    try:
        series = list(file.series)
    except Exception:  # tifffile cannot parse the metadata: use only the pages
        return None
    deep = pages[0].axes.startswith("Z")  # the page itself is a volume
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
    """Return the planes that are slices, and notes about the other axes."""
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
    row = int(there.any(1).argmax())  # the first position with at least one page in the file
    planes = []
    for number in table[row][there[row]]:
        page = layout.pages[int(number) // layout.parts]
        assert page is not None
        planes.append(Plane(page, int(number) % layout.parts))
    others = [lengths[n] for n in outer]
    place = np.unravel_index(row, [length for _, length in others]) if others else ()
    notes = [f"{name} declares {slices} channels; they are read as slices."] * (wanted == "C")
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
            f"{name} declares {slices} slices, but contains only {found}; these are segmented."
        )
    return notes


def _note_missing(file: Any, pages: Sequence[Any], layout: _Layout, name: str) -> list[str]:
    """Return a note if the file declares more pictures than it has.

    Raises:
      ValueError: the pixels of the declared pictures are truncated.
    """
    declared, page = _read_declared_count(file, pages[0]), pages[0]
    found = len(layout.pages) * layout.parts
    samples = int(page.samplesperpixel)  # some programs declare samples as channels
    if declared <= max(found, len(pages)) * samples:
        return []
    behind = (file.filehandle.size - min(page.dataoffsets)) // page.nbytes if page.nbytes else 0
    if len(pages) == 1 and page.compression == 1 and behind > 1:
        raise ValueError(f"it declares {declared} pictures and ends after {behind}")
    return [f"{name} declares {declared} pictures, but contains only {found}."]


def _read_declared_count(file: Any, page: Any) -> int:
    """Return the number of pictures stated in ImageJ's or tifffile's description, or 1."""
    try:
        if file.is_imagej:
            meta = file.imagej_metadata or {}
            sides = (meta.get(key, 1) for key in ("channels", "slices", "frames"))
            return max(int(meta.get("images", 1)), math.prod(int(side) for side in sides))
        if file.is_shaped:
            shape = file.shaped_metadata[0]["shape"]
            return math.prod(int(side) for side in shape) // math.prod(page.shape)
    except Exception:  # the description cannot be parsed
        pass
    return 1


def _note_others(pages: Sequence[Any], layout: _Layout, name: str) -> list[str]:
    """Return a note about pages that do not belong to the selected axes."""
    used = {n for n in layout.pages if n is not None}
    first = pages[min(used)]
    start = min(first.dataoffsets, default=0)
    end = start + layout.parts * first.nbytes
    rest = [
        _is_subfile(page)
        for n, page in enumerate(pages)
        # Further pages may refer to the same pictures that follow the first page.
        if n not in used and not (layout.parts > 1 and start <= min(page.dataoffsets) < end)
    ]
    further = 0
    # Sub-IFDs are pyramid levels, or, if the first page is a thumbnail, the raw photograph.
    if first.subifds:
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
    return (
        [f"{name} also contains {_join_words(held)}, which {verb} not segmented."] if held else []
    )


def _join_words(parts: list[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
