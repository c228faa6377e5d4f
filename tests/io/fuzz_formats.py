"""Mutated files of every format, opened as a run opens them; prints what happened as JSON.

``python -m tests.io.fuzz_formats FOLDER COUNT SEED``. A process of its own, without JAX, so that
its memory can be limited and measured.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import random
import resource
import signal
import sys
import time
import traceback
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from s3net_jax.config import Config
from s3net_jax.io import InputError
from s3net_jax.run.cases import open_case
from s3net_jax.run.inputs import discover
from tests.io.fuzz_originals import write_originals

LIMIT = 4 << 30
PATIENCE = 20  # seconds of processor time for one file: others may use the machine, too


def make_mutant(content: bytes, name: str, chance: random.Random) -> bytes:
    """A mutant of a file; of half of those whose content is packed or has check sums, the content
    is mutated, so that what parses it is reached."""
    if chance.random() < 0.5:
        if name.endswith(".gz"):
            return gzip.compress(mutate(gzip.decompress(content), chance), 1)
        if name == "deflated.dcm":
            return _mutate_data_set(content, chance)
        if name.endswith(".png"):
            return _restore_checksums(mutate(content, chance))
    return mutate(content, chance)


def _mutate_data_set(content: bytes, chance: random.Random) -> bytes:
    start = 144 + int.from_bytes(content[140:144], "little")
    packed = zlib.compressobj(1, wbits=-15)
    body = packed.compress(mutate(zlib.decompress(content[start:], -15), chance))
    return content[:start] + body + packed.flush()


def _restore_checksums(content: bytes) -> bytes:
    """A PNG with the check sums that its chunks should have."""
    data, place = bytearray(content), 8
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(data)


_WILD = (
    b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff\xff\xff\x7f", b"\xff\xff", b"\0\0",
    b"\xff\x7f", b"\x7f\xff", b"\xff" * 8, b"\0\0\xc0\x7f", b"\x7f\xc0\0\0", b"\0\0\0\x80",
)  # fmt: skip
"""Largest and smallest integers, NaN, in both orders of bytes."""


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Bits flipped, bytes cut off, taken out, doubled, moved or repeated, or numbers made wild."""
    data = bytearray(content or b"\0")
    kind = chance.randrange(9)
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
    elif kind in (5, 6):  # numbers at their limits: in the header, or anywhere
        for _ in range(chance.randrange(1, 4)):
            start = chance.randrange(min(len(data), 600) if kind == 5 else len(data))
            wild = chance.choice(_WILD)
            data[start : start + len(wild)] = wild[: max(0, len(data) - start)]
    elif kind == 7:  # one piece elsewhere
        start, place = chance.randrange(len(data)), chance.randrange(len(data))
        piece = data[start : start + chance.randrange(1, 64)]
        data[place : place + len(piece)] = piece
    else:  # many times the same
        start = chance.randrange(len(data))
        piece = data[start : start + chance.randrange(1, 64)]
        data[start:start] = piece * chance.randrange(2, 3000)
    return bytes(data)


def attempt(path: Path) -> dict[str, Any]:
    """What a run does with a file up to the fit."""
    forget_peak()
    start = time.process_time()
    found: dict[str, Any] = {"name": path.name}
    signal.setitimer(signal.ITIMER_PROF, PATIENCE)
    try:
        for source in discover([path]):  # one file may hold several volumes
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
        signal.setitimer(signal.ITIMER_PROF, 0)
    return found | {"seconds": time.process_time() - start, "peak_mib": measure_peak_mib()}


def main(folder: Path, count: int, seed: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    (folder / "good").mkdir(parents=True)
    (folder / "bad").mkdir()
    good = write_originals(folder / "good")
    chance = random.Random(seed)
    report = [attempt(path) for path in good]
    assert all(r["result"] == "opened" for r in report), report
    before = {path: path.read_bytes() for path in good}
    results = []
    for number in range(count):
        original = good[number % len(good)]
        ending = original.name.partition(".")[2]
        path = folder / f"{original.name.partition('.')[0]}{number}.{ending}"
        path.write_bytes(make_mutant(before[original], original.name, chance))
        results.append(attempt(path))
        if results[-1]["result"] in ("failed", "badly said"):
            path.rename(folder / "bad" / path.name)
        else:
            path.unlink()
    assert all(path.read_bytes() == content for path, content in before.items())
    print(json.dumps({"results": results, "peak_mib": measure_peak_mib()}))


def forget_peak() -> None:
    """Begin to measure the largest memory again, where the system can."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def measure_peak_mib() -> float:
    """Largest memory of this program; ``ru_maxrss`` would count its parent's before the exec."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
