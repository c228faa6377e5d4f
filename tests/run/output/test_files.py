"""The list of a result's files: made once, for every kind of input."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3net_jax.run import Source, plan_files
from s3net_jax.run.inputs import Kind
from s3net_jax.schema import RESULT_KINDS, check_result, is_result_name


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [("image", ".png"), ("stack", ".tif"), ("nifti", ".nii.gz"), ("dicom", ".nii.gz")],
)
def test_names_and_kinds(tmp_path: Path, kind: Kind, suffix: str) -> None:
    source = Source(tmp_path / "a", "a", kind=kind)
    few, all_kinds = plan_files(tmp_path, source), plan_files(tmp_path, source, 2, True)
    assert few.required == [
        f"a.labels{suffix}",
        f"a.mask{suffix}",
        "a.overlay.png",
        "a.history.json",
    ]
    assert {*few.names} | {"agreement", "steps"} == {*all_kinds.names}
    assert all_kinds.names["agreement"] == f"a.agreement{suffix}"
    assert ("seg" in few.names) == (kind == "dicom") and "a.seg.dcm" not in all_kinds.required
    assert {*all_kinds.names} <= set(RESULT_KINDS)
    assert all(map(is_result_name, all_kinds.names.values()))
    check_result({"stem": "a", "outputs": dict(all_kinds.names)})
    assert few.locate("overlay") == tmp_path / "a.overlay.png"


def test_what_was_written_keeps_its_order(tmp_path: Path) -> None:
    files = plan_files(tmp_path, Source(tmp_path / "a", "a", kind="dicom"))
    assert [*files.select({"seg", "labels"})] == ["labels", "seg"]
