"""Name and code of the target in DICOM SEG, read back by highdicom and pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.cli import main
from s3net_jax.errors import ConfigError
from s3net_jax.io import CODES, check_segment_name, parse_code, read_dicom, write_seg
from tests.fakes import install_fit
from tests.volumes import ball, save_dicom


def read_segments(path: Path) -> list[Any]:
    hd = pytest.importorskip("highdicom")
    return list(hd.seg.segread(path).SegmentSequence)


def describe(segment: Any) -> tuple[str, str, str, str]:
    category = segment.segmented_property_category
    kind = segment.segmented_property_type
    found = segment.segment_label, category.meaning, kind.scheme_designator, kind.value
    return tuple(map(str, found))  # pyright: ignore[reportReturnType]


def test_codes_are_those_of_the_standard() -> None:
    codes = pytest.importorskip("pydicom.sr.codedict").codes
    for name, (category, code) in CODES.items():
        known = getattr(codes.SCT, name.title())
        assert (code.scheme, code.value, code.meaning) == ("SCT", known.value, known.meaning)
        group = getattr(codes.SCT, category.meaning.replace(" ", ""))
        assert (category.value, category.meaning) == (group.value, group.meaning)


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        ("", "", ("Target", "Spatial and Relational Concept", "DCM", "111030")),
        ("", "Lung", ("Lung", "Anatomical Structure", "SCT", "39607008")),
        ("GTV 1", "lesion", ("GTV 1", "Morphologically Abnormal Structure", "SCT", "52988006")),
        ("left", "", ("left", "Spatial and Relational Concept", "DCM", "111030")),
        (
            "",
            "SCT:27925004:Spot",
            ("Spot", "Morphologically Abnormal Structure", "SCT", "27925004"),
        ),
        ("a: b", "99LAB:X1:A: b", ("a: b", "Anatomical Structure", "99LAB", "X1")),
    ],
)
def test_the_target_has_them(
    tmp_path: Path, name: str, code: str, expected: tuple[str, ...]
) -> None:
    pytest.importorskip("highdicom")
    values, truth = ball((20, 24, 3))
    volume = read_dicom(save_dicom(tmp_path / "in", values))
    write_seg(tmp_path / "s.dcm", truth, truth.astype(int), volume, name, code)
    first, *others = read_segments(tmp_path / "s.dcm")
    assert describe(first) == expected
    for n, one in enumerate(others):
        general = "Spatial and Relational Concept", "DCM", "111030"
        assert describe(one) == (f"Cluster {n}", *general)
    import pydicom

    kinds = pydicom.dcmread(tmp_path / "s.dcm").SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    if code.startswith("99LAB"):
        assert kinds[0].CodeMeaning == "A: b"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("lungs", "Did you mean lung"),
        ("", "There is no code"),
        ("SCT:39607008", "write SCHEME:VALUE:MEANING"),
        ("SCT::Lung", "write SCHEME:VALUE:MEANING"),
        ("SCT:39607008:a\\b", "write SCHEME:VALUE:MEANING"),
        ("SCT:12345678901234567:Lung", "at most 16 characters"),
        ("SCT:1:" + 65 * "a", "at most 64"),
        ("SCT:1:Lésion", "printable ASCII"),
    ],
)
def test_wrong_codes(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_code(text)


def test_wrong_names() -> None:
    for name in ("", "  ", "a\\b", "a\nb", "Lésion", 65 * "a"):
        with pytest.raises(ConfigError, match="1 to 64 printable"):
            check_segment_name(name)
    assert check_segment_name(" a b ") == "a b"


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("highdicom")
    install_fit(monkeypatch)
    values = ball((20, 24, 5))[0]
    save_dicom(tmp_path / "in", values)
    words = ["segment", "--preset", "fast", "--size", "32", "--set", "fit.steps=2", "--no-report"]
    words += ["--out", str(tmp_path / "out")]
    given = ["--name", "Left lung", "--code", "lung"]
    assert main([*words, str(tmp_path / "in"), *given]) == 0
    expected = "Left lung", "Anatomical Structure", "SCT", "39607008"
    assert describe(read_segments(tmp_path / "out/in.seg.dcm")[0]) == expected
    assert main([*words, str(tmp_path / "in")]) == 2, "another output option is another result"
    assert main(["retarget", str(tmp_path / "out"), "--target", "label:0,1"]) == 0
    assert describe(read_segments(tmp_path / "out/in.seg.dcm")[0]) == expected
    capsys.readouterr()
    assert main([*words, str(tmp_path / "in"), "--code", "lnug"]) == 2
    assert "Did you mean lung" in capsys.readouterr().err
    import tifffile

    pages = np.moveaxis(values, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", pages, metadata={"axes": "ZYX"})
    plain = [*words[:-1], str(tmp_path / "other"), str(tmp_path / "a.tif"), *given]
    assert main(plain) == 0
    assert "only written to DICOM SEG" in capsys.readouterr().err
