"""Mutated files of every format, opened as a run opens them; prints what happened as JSON.

``python -m tests.io.fuzz_formats FOLDER COUNT SEED``. A process of its own, without JAX, so that
its memory can be limited and measured.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image as PilImage

from s3net_jax.config import Config
from s3net_jax.io import InputError
from s3net_jax.run.cases import open_case
from s3net_jax.run.discover import discover
from tests.volumes import ball, save_dicom, save_nifti

LIMIT = 4 << 30
PATIENCE = 20  # seconds for one file


def originals(folder: Path) -> list[Path]:
    """A good file of each format."""
    random_ = np.random.default_rng(0)
    smooth = np.kron(random_.random((6, 7, 3)), np.ones((12, 12, 1))) * 200
    rgb = (smooth + random_.random(smooth.shape) * 40).astype(np.uint8)
    color, grey = PilImage.fromarray(rgb), PilImage.fromarray(rgb[..., 0])
    deep = PilImage.fromarray((rgb[..., 0].astype(np.int32) - 100) * 20)
    for name in ("a.png", "b.jpg", "c.bmp", "d.tif", "e.gif", "f.webp"):
        color.save(folder / name)
    grey.quantize(16).save(folder / "g.png")
    deep.save(folder / "h.tif")
    grey.save(folder / "i.tif", save_all=True, append_images=[grey] * 4)
    color.save(folder / "j.tif", compression="tiff_lzw")
    wide = rgb.astype(np.float64).transpose(2, 0, 1)
    options: Any = {"photometric": "rgb", "planarconfig": "separate", "compression": "zlib"}
    tifffile.imwrite(
        folder / "q.tif", wide.astype(np.uint32), predictor=True, tile=(32, 48), **options
    )
    tifffile.imwrite(folder / "r.tif", np.stack([wide[0]] * 3), photometric="miniswhite")
    values, _ = ball((33, 36, 5))
    save_nifti(folder / "k.nii", values)
    save_nifti(folder / "l.nii.gz", values)
    save_nifti(folder / "m.nii", values.astype(np.float32))
    for name, compress in (("n", None), ("o", "rle"), ("p", "jpeg2000")):
        files = save_dicom(folder / name, values[..., :1], compress=compress)
        files[0].rename(folder / f"{name}.dcm")
        (folder / name).rmdir()
    return sorted(p for p in folder.iterdir() if p.is_file())


def mutated(content: bytes, chance: random.Random) -> bytes:
    """Bits flipped, bytes cut off, taken out, doubled, or a header's numbers made wild."""
    data = bytearray(content)
    kind = chance.randrange(6)
    if kind == 0:  # bits anywhere
        for _ in range(chance.randrange(1, 30)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == 1:  # bits of the header
        for _ in range(chance.randrange(1, 12)):
            data[chance.randrange(min(len(data), 400))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        del data[chance.randrange(len(data)) :]
    elif kind == 3:
        start = chance.randrange(len(data))
        del data[start : start + chance.randrange(1, 200)]
    elif kind == 4:
        start = chance.randrange(len(data))
        data[start:start] = data[start : start + chance.randrange(1, 200)]
    else:  # numbers at their limits
        for _ in range(chance.randrange(1, 4)):
            start = chance.randrange(min(len(data), 600))
            wild = chance.choice([b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff\xff\xff\x7f"])
            data[start : start + 4] = wild[: max(0, len(data) - start)]
    return bytes(data)


def attempt(path: Path) -> dict[str, Any]:
    """What a run does with a file up to the fit."""
    forget_peak()
    start = time.monotonic()
    found: dict[str, Any] = {"name": path.name}
    signal.alarm(PATIENCE)
    try:
        (source,) = discover([path])
        case = open_case(source, Config())
        for n in range(min(len(case), 3)):
            piece = case.piece(n)
            assert piece is None or np.isfinite(piece.pixels).all()
        found["result"] = "opened"
    except InputError as error:
        text = str(error)
        found |= {"result": "refused", "text": text}
        if path.stem not in text or "\n" in text or not text.endswith("."):
            found["result"] = "badly said"
    except BaseException:
        found |= {"result": "failed", "text": traceback.format_exc()}
    finally:
        signal.alarm(0)
    return found | {"seconds": time.monotonic() - start, "peak_mib": peak_mib()}


def main(folder: Path, count: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    (folder / "good").mkdir(parents=True)
    good = originals(folder / "good")
    chance = random.Random(seed)
    report = [attempt(path) for path in good]
    assert all(r["result"] == "opened" for r in report), report
    before = {path: path.read_bytes() for path in good}
    results = []
    for number in range(count):
        original = good[number % len(good)]
        ending = original.name.partition(".")[2]
        path = folder / f"{original.name.partition('.')[0]}{number}.{ending}"
        path.write_bytes(mutated(before[original], chance))
        results.append(attempt(path))
        path.unlink()
    assert all(path.read_bytes() == content for path, content in before.items())
    print(json.dumps({"results": results, "peak_mib": peak_mib()}))


def forget_peak() -> None:
    """Begin to measure the largest memory again, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_mib() -> float:
    """Largest memory of this program; ``ru_maxrss`` would count its parent's before the exec."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
