"""Read marks inside and outside an object: pictures, GeoJSON and tables of points."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PilImage

from s3net_jax.csv_text import Row, parse_sheet
from s3net_jax.errors import ConfigError, InputError, RecordError, get_reason, make_broken_error
from s3net_jax.io import check_file, check_picture, read_regular, suspend_pixel_limit
from s3net_jax.masks import draw_marks
from s3net_jax.run.retargeting.requests import Names
from s3net_jax.schema import parse_json

__all__ = ["Drawn", "find_marks"]

_PICTURES = (".png", ".bmp", ".tif", ".tiff", ".gif")
_LOSSY = (".jpg", ".jpeg", ".webp")
_SHAPES = (".geojson", ".json")
_SIDES = {"inside": True, "outside": False}

# Green and red that are clearly neither a photograph's nor mixed: a picture may be marked in a copy
# of the image. Not tuned: paint programs offer pure green and red.
_FULL, _NONE = 200, 80


@dataclass
class Drawn:
    """The marks for one image.

    Attributes:
      stem: name of the result.
      readers: functions from the size (H, W) to marks inside and outside, (H, W) bool each.
    """

    stem: str
    readers: list[Callable[[tuple[int, int]], tuple[np.ndarray, np.ndarray]]] = field(
        default_factory=list
    )

    def read(self, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Read the marks inside and outside, (H, W) bool each, for an image of size (H, W).

        Raises:
          InputError: a file can't be read, has another size, or marks are outside the image.
        """
        inside, outside = np.zeros(shape, bool), np.zeros(shape, bool)
        for read in self.readers:
            more = read(shape)
            inside |= more[0]
            outside |= more[1]
        return inside, outside


def find_marks(path: Path, names: Names) -> list[Drawn]:
    """Find the marks in a folder, in which files are named like results, or in one table.

    - PNG, BMP, TIFF or GIF of the size of the image: green pixels are inside and red ones outside;
      in a grey or indexed picture without these colours, 1 is inside and 2 outside.
    - GeoJSON (``.geojson``, ``.json``): points, lines and polygons in pixels from the left and from
      the top, whose property ``mark``, or ``classification.name`` as QuPath writes it, is
      ``inside`` or ``outside``.
    - CSV with the columns ``x``, ``y`` and ``mark``; a single table for all images also has the
      column ``image``.

    Args:
      path: folder, or a CSV file.
      names: names of the results.

    Raises:
      InputError: the path does not exist or contains no marks, or a name is unknown.
    """
    found: dict[str, Drawn] = {}
    if path.is_dir():
        for file in sorted(path.iterdir()):
            suffix = file.suffix.lower()
            if file.name.startswith(".") or suffix not in _READERS:
                continue
            try:
                stem = names.find(file.stem)
            except ConfigError as error:
                raise InputError(f"{file}: {error}") from None
            read = _READERS[suffix]
            one = found.setdefault(stem, Drawn(stem))
            one.readers.append(lambda shape, read=read, file=file: read(file, shape))
        if not found:
            raise InputError(
                f"{path} contains no marks: add PNG, GeoJSON or CSV files that are named like the "
                "images."
            )
        return list(found.values())
    check_file(path)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in _read_rows(path, ("image", "x", "y", "mark")):
        try:
            rows[names.find(row.cells["image"])].append(row)
        except ConfigError as error:
            raise InputError(f"{path}, line {row.line}: {error}") from None
    return [
        Drawn(stem, [lambda shape, some=some: _draw_rows(path, some, shape)])
        for stem, some in rows.items()
    ]


def _read_rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    try:
        rows = parse_sheet(read_regular(path, follow=True), columns)
    except OSError as error:
        raise InputError(f"{path} can't be read: {get_reason(error)}.") from None
    except ValueError as error:
        raise InputError(f"{path} is not a table of points ({error}).") from None
    if not rows:
        raise InputError(f"{path} contains no point.")
    return rows


def _read_points(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return _draw_rows(path, _read_rows(path, ("x", "y", "mark")), shape)


def _draw_rows(
    path: Path, rows: list[Row], shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    sides = {side: np.zeros(shape, bool) for side in (True, False)}
    for row in rows:
        try:
            # A spreadsheet may write decimal commas.
            x, y = (float(row.cells[name].replace(",", ".")) for name in "xy")
            side = _SIDES[row.cells["mark"].lower()]
        except (ValueError, KeyError):
            raise InputError(
                f"{path}, line {row.line}: x and y must be numbers and mark inside or outside, got "
                f"{row.cells['x']!r}, {row.cells['y']!r}, {row.cells['mark']!r}."
            ) from None
        try:
            sides[side] |= draw_marks([(x, y)], shape, "The image")
        except InputError as error:
            raise InputError(f"{path}, line {row.line}: {error}") from None
    return sides[True], sides[False]


def _read_picture(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    check_file(path)
    try:
        with suspend_pixel_limit(), PilImage.open(path) as picture:
            check_picture(picture, path)
            if (picture.height, picture.width) != shape:
                raise InputError(
                    f"{path} has {picture.width}×{picture.height} pixels, but its image has "
                    f"{shape[1]}×{shape[0]}: draw marks on the image at its full size."
                )
            values = None if picture.mode not in ("L", "P", "1", "I;16") else np.asarray(picture)
            # Transparent pixels are unmarked, whatever their colour.
            shown = np.asarray(picture.convert("RGBA"))
    except InputError:
        raise
    except Exception as error:  # decoders raise any kind of exception on broken data
        raise make_broken_error(str(path), error) from error
    red, green, blue = (shown[..., n] for n in range(3))
    seen = (shown[..., 3] >= _FULL) & (blue <= _NONE)
    inside = seen & (green >= _FULL) & (red <= _NONE)
    outside = seen & (red >= _FULL) & (green <= _NONE)
    if values is not None and not (inside.any() or outside.any()):
        inside, outside = values == 1, values == 2
    if not (inside.any() or outside.any()):
        raise InputError(
            f"{path} contains no marks: draw green (0, 255, 0) inside and red (255, 0, 0) outside, "
            "or write the values 1 inside and 2 outside into a grey picture."
        )
    return inside, outside


def _refuse_lossy(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    raise InputError(f"{path} has a lossy format, which blurs marks: save them as PNG.")


def _read_shapes(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    try:
        content = parse_json(read_regular(path, follow=True))
    except OSError as error:
        raise InputError(f"{path} can't be read: {get_reason(error)}.") from None
    except RecordError as error:
        raise InputError(f"{path} is not GeoJSON ({error}).") from None
    sides = {side: np.zeros(shape, bool) for side in (True, False)}
    count = 0
    for number, feature in enumerate(_list_features(content, path), 1):
        where = f"{path}, feature {number}"
        side = _find_side(feature, where)
        try:
            for kind, points in _list_parts(feature["geometry"]):
                sides[side] |= _draw_part(kind, points, shape)
                count += 1
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
        except (KeyError, TypeError, ValueError):
            raise InputError(
                f"{where}: the geometry must be points, lines or polygons with coordinates in "
                "pixels."
            ) from None
    if count == 0:
        raise InputError(f"{path} contains no marks.")
    return sides[True], sides[False]


def _list_features(content: Any, path: Path) -> list[Any]:
    if isinstance(content, list):  # as QuPath exports annotations
        return content
    if isinstance(content, Mapping):
        if content.get("type") == "FeatureCollection" and isinstance(content.get("features"), list):
            return content["features"]
        if content.get("type") == "Feature":
            return [content]
    raise InputError(f"{path} is not GeoJSON: it must be a FeatureCollection.")


def _find_side(feature: Any, where: str) -> bool:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    properties = properties if isinstance(properties, Mapping) else {}
    kind = properties.get("classification")
    named = kind.get("name") if isinstance(kind, Mapping) else kind
    mark = properties.get("mark", named)
    if isinstance(mark, str) and mark.strip().lower() in _SIDES:
        return _SIDES[mark.strip().lower()]
    raise InputError(f"{where}: the property mark must be inside or outside, got {mark!r}.")


def _list_parts(geometry: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the kind and the coordinates of every point, line and polygon of a geometry."""
    kind, places = geometry["type"], geometry.get("coordinates", [])
    if kind == "GeometryCollection":
        for part in geometry["geometries"]:
            yield from _list_parts(part)
    elif kind in ("Point", "LineString", "Polygon"):
        yield kind, places
    elif kind in ("MultiPoint", "MultiLineString", "MultiPolygon"):
        for part in places:
            yield kind.removeprefix("Multi"), part
    else:
        raise ValueError(kind)


def _draw_part(kind: str, places: Any, shape: tuple[int, int]) -> np.ndarray:
    from skimage import draw

    if kind == "Point":
        return draw_marks([places[:2]], shape, "The image")
    lines = places if kind == "Polygon" else [places]
    rings = [np.array([point[:2] for point in line], float) for line in lines]
    size = np.array(shape[::-1])
    for ring in rings:
        if ring.ndim != 2 or not np.isfinite(ring).all():
            raise ValueError(kind)
        beyond = ring[((ring < 0) | (ring > size)).any(1)]  # a corner may be at the far edge
        if beyond.size:
            draw_marks(beyond, shape, "The image")  # raises the error
    drawn = np.zeros(shape, bool)
    if kind == "Polygon":
        for number, ring in enumerate(rings):  # the first ring is the outline, others are holes
            drawn[draw.polygon(ring[:, 1], ring[:, 0], shape)] = number == 0
        return drawn
    corners = np.minimum(np.floor(rings[0]), size - 1).astype(int)
    for (x0, y0), (x1, y1) in itertools.pairwise(corners):
        drawn[draw.line(y0, x0, y1, x1)] = True
    return drawn


_READERS: dict[str, Callable[[Path, tuple[int, int]], tuple[np.ndarray, np.ndarray]]] = {
    **dict.fromkeys(_PICTURES, _read_picture),
    **dict.fromkeys(_LOSSY, _refuse_lossy),
    **dict.fromkeys(_SHAPES, _read_shapes),
    ".csv": _read_points,
}
