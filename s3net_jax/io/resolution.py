"""Read the pixel size of an input and write it into results.

TIFF results keep the unit of the input (resolution tags, ImageJ or OME description), which avoids
rounding; PNG supports only pixels per metre.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import quoteattr

from PIL import Image as PilImage

from s3net_jax.io.read import FORMATS, suspend_pixel_limit
from s3net_jax.io.tiff.reading import _open

__all__ = ["Resolution", "add_to_png", "describe_stack", "read_resolution"]

_INCH, _CENTIMETRE = 2, 3  # values of TIFF's ResolutionUnit; 1 means no unit
_METRES = {
    "inch": 0.0254,
    "inches": 0.0254,
    "in": 0.0254,
    "m": 1.0,
    "meter": 1.0,
    "metre": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "micron": 1e-6,
    "microns": 1e-6,
    "um": 1e-6,
    "nm": 1e-9,
    "\N{MICRO SIGN}m": 1e-6,
    "\N{GREEK SMALL LETTER MU}m": 1e-6,
    "pm": 1e-12,
    "millimeter": 1e-3,
    "centimeter": 1e-2,
    "micrometer": 1e-6,
    "nanometer": 1e-9,
}
_MOST = 2**31 - 1  # largest integer in a PNG chunk


@dataclass(frozen=True)
class Resolution:
    """Pixel size of an upright picture.

    Attributes:
      x: pixels per unit along a row.
      y: pixels per unit along a column.
      unit: value of TIFF's ``ResolutionUnit``: 1 none, 2 inch, 3 centimetre.
      form: source of the pixel size: ``tags``, ``imagej`` or ``ome``.
      name: unit of length along x in ImageJ or OME metadata, or empty.
      name_y: unit of length along y in OME metadata, or empty.
      spacing: distance between the slices of a stack, in ``name_z``, or None.
      name_z: unit of ``spacing``.
      is_time: whether the planes of an ImageJ stack are time points.
      is_print: whether it is from a PNG, JPEG or BMP file, which record the resolution of a print
        or a screen rather than the size of the object.
    """

    x: Fraction
    y: Fraction
    unit: int = 1
    form: str = "tags"
    name: str = ""
    name_y: str = ""
    spacing: float | None = None
    name_z: str = ""
    is_time: bool = False
    is_print: bool = field(default=False, compare=False)

    def per_metre(self) -> tuple[float, float] | None:
        """Return pixels per metre along x and y, or None if the unit is unknown."""
        if self.form == "tags" or not self.name:
            metres = {_INCH: 0.0254, _CENTIMETRE: 0.01}.get(self.unit)
            lengths = (metres, metres)
        else:
            lengths = (_METRES.get(self.name.lower()), _METRES.get(self.name_y.lower()))
        if lengths[0] is None or lengths[1] is None:
            return None
        return float(self.x) / lengths[0], float(self.y) / lengths[1]

    def measure_pixel(self) -> tuple[float, float] | None:
        """Return millimetres between rows and between columns, or None if the unit is unknown."""
        scales = self.per_metre()
        return None if scales is None else (1000 / scales[1], 1000 / scales[0])

    def measure_slice(self) -> float | None:
        """Return millimetres between slices, or None if they are not recorded."""
        metres = _METRES.get(self.name_z.lower())
        if self.spacing is None or metres is None or self.is_time or not self.spacing > 0:
            return None
        return self.spacing * metres * 1000


def read_resolution(path: Path) -> Resolution | None:
    """Read the pixel size of a picture or TIFF stack, after the EXIF rotation.

    Returns:
      The pixel size, or None if it is missing or unreadable; segmentation does not need it.
    """
    try:
        with path.open("rb") as file:
            is_tiff = file.read(4)[:2] in (b"II", b"MM")
        found = _read_tiff(path) if is_tiff else _read_other(path)
    except Exception:  # parsers raise many types of exceptions for broken metadata
        return None
    if found is None or not (found.x > 0 and found.y > 0):
        return None
    # 1×1 without a unit is a common placeholder and carries no information.
    return None if found == Resolution(Fraction(1), Fraction(1)) else found


def add_to_png(content: bytes, resolution: Resolution) -> bytes:
    """Return a PNG file with a pHYs chunk if the unit is known or the pixels are not square."""
    scales = resolution.per_metre()
    if scales is not None:
        x, y, unit = round(scales[0]), round(scales[1]), 1
    elif resolution.x != resolution.y:
        # Without a unit, pHYs states only the ratio, as two integers.
        ratio = (resolution.x / resolution.y).limit_denominator(10000)
        x, y, unit = ratio.numerator, ratio.denominator, 0
    else:
        return content
    if not (0 < x <= _MOST and 0 < y <= _MOST):
        return content
    body = b"pHYs" + struct.pack(">IIB", x, y, unit)
    chunk = struct.pack(">I", 9) + body + struct.pack(">I", zlib.crc32(body))
    end = 33  # the signature (8 bytes) and the header chunk (25 bytes) come first
    return content[:end] + chunk + content[end:]


def describe_stack(resolution: Resolution, shape: tuple[int, int, int], kind: str) -> str | None:
    """Return the ImageDescription of a TIFF stack in the format of the input, or None.

    Args:
      resolution: pixel size of the input.
      shape: shape of the stack, (slices, H, W).
      kind: NumPy dtype name of the stack, ``uint8`` or ``uint16``.
    """
    if resolution.form == "imagej":
        lines = ["ImageJ=1.54f", f"images={shape[0]}"]
        lines.append(f"{'frames' if resolution.is_time else 'slices'}={shape[0]}")
        if resolution.name:
            letters = (c if c.isascii() else f"\\u{ord(c):04X}" for c in resolution.name)
            lines.append("unit=" + "".join(letters))  # ImageJ's escape for non-ASCII characters
        if resolution.spacing is not None:
            lines.append(f"spacing={resolution.spacing!r}")
        return "\n".join([*lines, "loop=false", ""])
    if resolution.form == "ome":
        return _describe_ome(resolution, shape, kind)
    return None


def _describe_ome(resolution: Resolution, shape: tuple[int, int, int], kind: str) -> str:
    sizes = {
        "PhysicalSizeX": (float(1 / resolution.x), resolution.name),
        "PhysicalSizeY": (float(1 / resolution.y), resolution.name_y),
    }
    if resolution.spacing is not None:
        sizes["PhysicalSizeZ"] = (resolution.spacing, resolution.name_z)
    text = " ".join(
        f'{key}="{size!r}" {key}Unit={quoteattr(unit)}' for key, (size, unit) in sizes.items()
    )
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="{kind}" SizeX="{shape[2]}" '
        f'SizeY="{shape[1]}" SizeZ="{shape[0]}" SizeC="1" SizeT="1" {text}>'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="{shape[0]}"/></Pixels></Image></OME>'
    )
    return xml.encode("ascii", "xmlcharrefreplace").decode()


def _read_tiff(path: Path) -> Resolution | None:
    with _open(path) as file:
        page: Any = file.pages[0]
        if file.is_ome and file.ome_metadata:
            found = _parse_ome(file.ome_metadata)
            if found is not None:
                return found
        tags = [page.tags.get(name) for name in ("XResolution", "YResolution")]
        if tags[0] is None or tags[1] is None:
            return None
        x, y = (Fraction(*tag.value) for tag in tags)
        orientation = page.tags.get("Orientation")
        if orientation is not None and int(orientation.value) >= 5:  # rows and columns swapped
            x, y = y, x
        unit = page.tags.get("ResolutionUnit")
        code = _INCH if unit is None else int(unit.value)  # the default of TIFF is inch
        if file.is_imagej and file.imagej_metadata:
            return _parse_imagej(file.imagej_metadata, x, y, code)
        return Resolution(x, y, code)


def _parse_imagej(metadata: dict[str, Any], x: Fraction, y: Fraction, code: int) -> Resolution:
    name = str(metadata.get("unit", ""))
    if "\\u" in name:
        name = name.encode("ascii", "backslashreplace").decode("unicode_escape")
    spacing = metadata.get("spacing")
    is_time = int(metadata.get("frames", 1)) > 1 and int(metadata.get("slices", 1)) == 1
    spacing = None if spacing is None else float(spacing)
    return Resolution(x, y, code, "imagej", name, name, spacing, name, is_time)


def _parse_ome(xml: str) -> Resolution | None:
    root = ElementTree.fromstring(xml)
    pixels = next((node for node in root.iter() if node.tag.endswith("}Pixels")), None)
    if pixels is None:
        return None
    sizes = {axis: pixels.get(f"PhysicalSize{axis}") for axis in "XYZ"}
    if sizes["X"] is None or sizes["Y"] is None:
        return None
    units = {a: pixels.get(f"PhysicalSize{a}Unit", "\N{MICRO SIGN}m") for a in "XYZ"}
    return Resolution(
        1 / Fraction(sizes["X"]),
        1 / Fraction(sizes["Y"]),
        1,
        "ome",
        units["X"],
        units["Y"],
        None if sizes["Z"] is None else float(sizes["Z"]),
        units["Z"],
    )


def _read_other(path: Path) -> Resolution | None:
    with suspend_pixel_limit(), PilImage.open(path, formats=FORMATS) as picture:
        info, exif = picture.info, picture.getexif()
        is_turned = int(exif.get(0x0112, 1)) >= 5  # EXIF orientations that swap rows and columns
        found = None
        if picture.format == "JPEG":
            # info["dpi"] is 72 for a JPEG without a resolution; these fields are from the file.
            if info.get("jfif_unit") in (1, 2):
                found = (*info["jfif_density"], info["jfif_unit"] + 1)
        elif picture.format == "PNG" and "aspect" in info:
            found = (*info["aspect"], 1)
        elif picture.format in ("PNG", "BMP", "DIB") and "dpi" in info:
            # Both formats store integer pixels per metre; this undoes PIL's conversion to inches.
            metre = [Fraction(round(float(value) / 0.0254), 100) for value in info["dpi"]]
            found = (*metre, _CENTIMETRE)
        if found is None and exif.get(0x011A) and exif.get(0x011B):
            values = [Fraction(float(exif[tag])) for tag in (0x011A, 0x011B)]
            found = (*(v.limit_denominator(10**6) for v in values), int(exif.get(0x0128, _INCH)))
    if found is None:
        return None
    x, y, unit = Fraction(found[0]), Fraction(found[1]), int(found[2])
    return Resolution(*((y, x) if is_turned else (x, y)), unit, is_print=True)
