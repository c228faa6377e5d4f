"""Folders of DICOM files whose volumes are known, for tests of grouping."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.dicom_objects import CT, save_frames, save_slice

Expected = dict[tuple[Path, int], Hashable]
"""(file, frame) → which volume it belongs to; None: left out."""


class Maker:
    """Writes slices and frames, and notes which volume each belongs to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.expected: Expected = {}

    def slice(self, volume: Hashable, z: float, **elements: Any) -> Path:
        number = len(self.expected) + 1
        # Names that sort in another order than the numbers.
        path = self.folder / f"IM{number * 37 % 101:03d}.dcm"
        save_slice(path, z=z, **{"InstanceNumber": number, **elements})
        self.expected[path, 0] = volume
        return path

    def frames(self, name: str, volumes: Sequence[Hashable], each: Any, **more: Any) -> Path:
        path = save_frames(self.folder / name, each, **more)
        self.expected |= {(path, n): volume for n, volume in enumerate(volumes)}
        return path


def _at(z: float, **groups: Any) -> dict[str, Any]:
    return {"PlanePositionSequence": {"ImagePositionPatient": [-8, -8, z]}, **groups}


def wobbling(make: Maker) -> None:
    for n in range(12):
        tilt = 0.0004995 + 1e-6 * (n % 2)
        make.slice(0, 2.0 * n, ImageOrientationPatient=[1, f"{tilt:.7f}", 0, f"{-tilt:.7f}", 1, 0])


def drifting(make: Maker) -> None:
    for n in range(12):  # 0.05° from each to the next, 0.6° in all
        c, s = np.cos(9e-4 * n), np.sin(9e-4 * n)
        make.slice(0, 2.0 * n, ImageOrientationPatient=[f"{v:.8f}" for v in (c, s, 0, -s, c, 0)])


def scouts(make: Maker) -> None:
    for n in range(3):
        make.slice("axial", 5.0 * n)
        for name, place, axes in (
            ("coronal", [-8, 5.0 * n, 8], [1, 0, 0, 0, 0, -1]),
            ("sagittal", [5.0 * n, -8, 8], [0, 1, 0, 0, 0, -1]),
        ):
            make.slice(name, 0, ImagePositionPatient=place, ImageOrientationPatient=axes)


def oblique_stacks(make: Maker) -> None:
    for degrees in (0, 1, 2):
        c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        for n in range(4):
            make.slice(
                degrees, 3.0 * n, ImageOrientationPatient=[1, 0, 0, 0, f"{c:.8f}", f"{s:.8f}"]
            )


def localizer_in_the_series(make: Maker) -> None:
    for n in range(5):
        make.slice("stack", 2.0 * n, sop_class=CT, ImageType=["ORIGINAL", "PRIMARY", "AXIAL"])
    make.slice("scout", 20.0, sop_class=CT, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


def echoes(make: Maker) -> None:
    for n in range(6):
        for echo in (1, 2) if n % 2 else (2, 1):
            make.slice(echo, 4.0 * n, EchoNumbers=echo, EchoTime=15.0 * echo)


def echo_times(make: Maker) -> None:
    for n in range(6):
        for time in (2.38, 4.76):  # written in two ways
            make.slice(time, 4.0 * n, EchoTime=f"{time:.{2 + n % 2}f}")


def echo_at_few_places(make: Maker) -> None:
    for n in range(6):
        make.slice(1, 4.0 * n, EchoNumbers=1)
        if n in (2, 3):
            make.slice(2, 4.0 * n, EchoNumbers=2)


def positions_rounded_differently(make: Maker) -> None:
    for n in range(6):
        make.slice(1, 4.0 * n, EchoNumbers=1)
        make.slice(2, 4.0 * n + 0.004, EchoNumbers=2)


def b_values(make: Maker) -> None:
    for n in range(5):
        for b in (0, 500, 1000):
            make.slice(b, 4.0 * n, DiffusionBValue=float(b) * (1 + 0.001 * n))


def directions(make: Maker) -> None:
    for n in range(4):
        make.slice("b0", 4.0 * n, DiffusionBValue=0.0)
        for axis in range(3):
            vector = [float(axis == k) for k in range(3)]
            make.slice(axis, 4.0 * n, DiffusionBValue=1000.0, DiffusionGradientOrientation=vector)


def siemens_b_values(make: Maker) -> None:
    for n in range(5):
        for b in (0, 1000):
            creator = {"x00190010_LO": "SIEMENS MR HEADER", "x0019100c_IS": b}
            make.slice(b, 4.0 * n, **creator)


def ge_b_values(make: Maker) -> None:
    for n in range(5):
        for b in (0, 800):
            creator = {"x00430010_LO": "GEMS_PARM_01", "x00431039_IS": [1_000_000_000 + b, 8, 0, 0]}
            make.slice(b, 4.0 * n, **creator)


def time_points(make: Maker) -> None:
    for t in range(1, 4):
        for n in range(4):
            make.slice(t, 4.0 * n, TemporalPositionIdentifier=t)


def heart(make: Maker) -> None:
    for n in range(4):  # each place has beats of its own length
        for phase in range(5):
            make.slice(phase, 8.0 * n, TriggerTime=phase * (40.0 + 0.7 * n))


def magnitude_and_phase(make: Maker) -> None:
    for n in range(5):
        for part in "MP":
            make.slice(part, 4.0 * n, ImageType=["ORIGINAL", "PRIMARY", part, "ND"])


def echoes_of_two_parts(make: Maker) -> None:
    for n in range(4):
        for echo in (1, 2):
            for part in "RI":
                kind = ["ORIGINAL", "PRIMARY", part]
                make.slice((echo, part), 4.0 * n, EchoNumbers=echo, ImageType=kind)


def kernels_between_each_other(make: Maker) -> None:
    for n in range(6):
        make.slice("B30", 2.0 * n, sop_class=CT, ConvolutionKernel="B30f")
        make.slice("B70", 2.0 * n + 1, sop_class=CT, ConvolutionKernel="B70f")


def thick_and_thin(make: Maker) -> None:
    for n in range(10):
        make.slice("thin", 1.0 * n, sop_class=CT, SliceThickness=1)
    for n in range(2):
        make.slice("thick", 5.0 * n, sop_class=CT, SliceThickness=5)


def acquisitions(make: Maker) -> None:
    for n in range(5):
        for number in (1, 2):
            make.slice(number, 4.0 * n, AcquisitionNumber=number)


def slabs(make: Maker) -> None:
    """One volume in two acquisitions, at places of their own."""
    for n in range(8):
        make.slice(0, 4.0 * n, AcquisitionNumber=1 + n // 4)


def interleaved(make: Maker) -> None:
    for n in range(8):
        make.slice(0, 4.0 * n, AcquisitionNumber=1 + n % 2, InstanceNumber=1 + (n * 5) % 8)


def inversion_and_flip(make: Maker) -> None:
    for n in range(4):
        for time in (100.0, 900.0):
            for angle in (4.0, 26.0):
                make.slice((time, angle), 4.0 * n, InversionTime=time, FlipAngle=angle)


def passes(make: Maker) -> None:
    """Nothing but the instance number."""
    for p in range(3):
        for n in range(5):
            make.slice(p, 4.0 * n)


def passes_with_a_gap(make: Maker) -> None:
    for p in range(3):
        for n in range(5):
            if (p, n) != (1, 2):
                make.slice(p, 4.0 * n)


def clock(make: Maker) -> None:
    for n in range(4):
        for t in range(3):
            make.slice(t, 4.0 * n, ContentTime=f"1200{10 * t + n:02d}.5", InstanceNumber=1)


def resent(make: Maker) -> None:
    """A slice came twice with another identifier: nothing says which one counts."""
    for n in range(5):
        make.slice(0, 4.0 * n, InstanceNumber=n, SOPInstanceUID=f"1.2.3.4.{n}")
    make.slice(None, 8.0, InstanceNumber=2, SOPInstanceUID="1.2.3.4.9")


def copied(make: Maker) -> None:
    for n in range(5):
        make.slice(0, 4.0 * n, InstanceNumber=n, SOPInstanceUID=f"1.2.3.4.{n}")
    make.slice(0, 20.0, InstanceNumber=5, SOPInstanceUID="1.2.3.4.5")
    path = make.slice(None, 0.0)
    path.write_bytes(next(p for p, _ in make.expected if p != path).read_bytes())


def frames_of_reference(make: Maker) -> None:
    for n in range(4):
        make.slice("a", 4.0 * n, FrameOfReferenceUID="1.2.5")
        make.slice("b", 4.0 * n, FrameOfReferenceUID="1.2.6")


def spacings_nearly_equal(make: Maker) -> None:
    for n in range(6):
        make.slice(0, 2.0 * n, PixelSpacing=[f"{0.9765625 + 1e-7 * n:.9f}", "0.976563"])


def fields_of_view(make: Maker) -> None:
    for n in range(4):
        make.slice("wide", 2.0 * n, PixelSpacing=[0.98, 0.98])
        make.slice("narrow", 2.0 * n, PixelSpacing=[0.49, 0.49])


def without_a_place(make: Maker) -> None:
    for n in range(5):
        make.slice(0, 4.0 * n)
    make.slice("lost", 0.0, ImagePositionPatient=None)


def both_knees(make: Maker) -> None:
    for n in range(5):
        make.slice("left", 4.0 * n)
        make.slice("right", 4.0 * n, ImagePositionPatient=[92, -8, 4.0 * n])


def radiographs(make: Maker) -> None:
    for n in range(3):
        none = {"ImagePositionPatient": None, "ImageOrientationPatient": None}
        make.slice(n, 0.0, Modality="DX", sop_class="1.2.840.10008.5.1.4.1.1.1.1", **none)


def enhanced_echoes(make: Maker) -> None:
    volumes = [1, 2] * 5
    each = [
        _at(4.0 * (n // 2), MREchoSequence={"EffectiveEchoTime": 10.0 * (1 + n % 2)})
        for n in range(10)
    ]
    make.frames("e.dcm", volumes, each)


def enhanced_diffusion(make: Maker) -> None:
    each, volumes = [], []
    for b in (0.0, 1000.0):
        for n in range(4):
            each.append(_at(4.0 * (3 - n), MRDiffusionSequence={"DiffusionBValue": b}))
            volumes.append(b)
    make.frames("d.dcm", volumes, each)


def enhanced_times(make: Maker) -> None:
    each = [
        _at(4.0 * n, FrameContentSequence={"TemporalPositionIndex": t + 1, "StackID": "1"})
        for t in range(3)
        for n in range(4)
    ]
    make.frames("t.dcm", [t for t in range(3) for _ in range(4)], each)


def enhanced_dimensions(make: Maker) -> None:
    each = [
        _at(4.0 * n, FrameContentSequence={"DimensionIndexValues": [1, n + 1, t + 1]})
        for n in range(4)
        for t in range(3)
    ]
    make.frames("i.dcm", [t for _ in range(4) for t in range(3)], each)


def enhanced_stacks(make: Maker) -> None:
    each, volumes = [], []
    for stack, axes in {"1": [1, 0, 0, 0, 1, 0], "2": [1, 0, 0, 0, 0, -1]}.items():
        for n in range(4):
            place = [-8, -8, 4.0 * n] if stack == "1" else [-8, 4.0 * n, 8]
            each.append(
                {
                    "PlanePositionSequence": {"ImagePositionPatient": place},
                    "PlaneOrientationSequence": {"ImageOrientationPatient": axes},
                    "FrameContentSequence": {"StackID": stack},
                }
            )
            volumes.append(stack)
    make.frames("s.dcm", volumes, each, shared={"PlaneOrientationSequence": {}})


def enhanced_without_a_difference(make: Maker) -> None:
    make.frames("p.dcm", [n // 4 for n in range(8)], [_at(4.0 * (n % 4)) for n in range(8)])


def enhanced_files(make: Maker) -> None:
    for t in range(3):
        each = [_at(4.0 * n) for n in range(4)]
        make.frames(f"f{t}.dcm", [t] * 4, each, InstanceNumber=5)


def clips(make: Maker) -> None:
    for t in range(2):
        path = make.folder / f"clip{t}.dcm"
        save_slice(
            path,
            np.zeros((3, 16, 16), np.uint8),
            Modality="US",
            InstanceNumber=t + 1,
            ImagePositionPatient=None,
            ImageOrientationPatient=None,
        )
        make.expected |= {(path, n): t for n in range(3)}


def energy_windows(make: Maker) -> None:
    path = make.folder / "nm.dcm"
    save_slice(
        path,
        np.arange(6 * 256, dtype=np.uint16).reshape(6, 16, 16),
        sop_class="1.2.840.10008.5.1.4.1.1.20",
        Modality="NM",
        ImagePositionPatient=None,
        EnergyWindowVector=[1, 1, 1, 2, 2, 2],
        SliceVector=[1, 2, 3, 1, 2, 3],
    )
    make.expected |= {(path, n): n // 3 for n in range(6)}


SCENES: list[Callable[[Maker], None]] = [
    *(wobbling, drifting, scouts, oblique_stacks, localizer_in_the_series, echoes, echo_times),
    *(echo_at_few_places, positions_rounded_differently, b_values, directions, siemens_b_values),
    *(ge_b_values, time_points, heart, magnitude_and_phase, echoes_of_two_parts),
    *(kernels_between_each_other, thick_and_thin, acquisitions, slabs, interleaved),
    *(inversion_and_flip, passes, passes_with_a_gap, clock, resent, copied, frames_of_reference),
    *(spacings_nearly_equal, fields_of_view, without_a_place, both_knees, radiographs),
    *(enhanced_echoes, enhanced_diffusion, enhanced_times, enhanced_dimensions, enhanced_stacks),
    *(enhanced_without_a_difference, enhanced_files, clips, energy_windows),
]
