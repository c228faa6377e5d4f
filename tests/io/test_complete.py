"""JPEG and PNG files whose data end early, though the file has its end, say so."""

from __future__ import annotations

import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage

from s3net_jax.io import read

Y, X = np.mgrid[:120, :160]
PICTURE = PilImage.fromarray(
    np.stack([X + Y // 2, 255 - X, 90 + 60 * ((X - 80) ** 2 + (Y - 60) ** 2 < 900)], -1).astype(
        "u1"
    )
)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "progressive": {"progressive": True},
    "restarts by rows": {"restart_marker_rows": 1},
    "restarts by blocks": {"restart_marker_blocks": 3},
    "fine colours": {"subsampling": 0, "optimize": True},
}
ROW = re.compile(r"is incomplete: its data end in row (\d+) of 120, and the rest is filled")


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    file = io.BytesIO()
    PICTURE.convert(mode).save(file, "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_cut_off_with_an_end(tmp_path: Path, kind: str, mode: str) -> None:
    content, path = jpeg(mode, **KINDS[kind]), tmp_path / "a.jpg"
    path.write_bytes(content)
    assert not read(path).notes
    path.write_bytes(content + b"\xff\xd9 and a trailer")
    assert not read(path).notes
    for share in (0.6, 0.8, 0.95):
        path.write_bytes(content[: int(share * len(content))] + b"\xff\xd9")
        found = ROW.search(read(path).notes[0])
        assert found, kind
        if kind != "progressive":
            assert int(found[1]) > 120 * (share - 0.35)


def test_a_jpeg_cut_off_at_a_restart(tmp_path: Path) -> None:
    content, path = jpeg(restart_marker_rows=1), tmp_path / "a.jpg"
    places = [found.start() for found in re.finditer(rb"\xff[\xd0-\xd7]", content)]
    for cut in (places[3], places[3] + 2):
        path.write_bytes(content[:cut] + b"\xff\xd9")
        assert ROW.search(read(path).notes[0])


def test_grey_at_the_lower_end_is_no_gap(tmp_path: Path) -> None:
    pixels = np.asarray(PICTURE).copy()
    pixels[60:] = 128  # as decoders fill in
    PilImage.fromarray(pixels).save(tmp_path / "a.jpg")
    assert not read(tmp_path / "a.jpg").notes


def test_a_preview_that_follows_is_no_gap(tmp_path: Path) -> None:
    PICTURE.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[PICTURE.resize((40, 30))])
    assert not read(tmp_path / "a.jpg").notes


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("rows", [120, 70])
def test_a_png_with_too_few_rows(tmp_path: Path, deep: bool, rows: int) -> None:
    pixels = np.asarray(PICTURE).astype(">u2" if deep else "u1")

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 160, 120, 16 if deep else 8, 2, 0, 0, 0))
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels[:rows]))
    content = head + chunk(b"IDAT", data[:99]) + chunk(b"IDAT", data[99:]) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    notes = read(tmp_path / "a.png").notes
    found = [ROW.search(note) for note in notes]
    assert [int(one[1]) for one in found if one] == ([71] if rows == 70 else [])
