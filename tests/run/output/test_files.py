"""Test the plan of a result's files for every kind of input."""

from __future__ import annotations

from pathlib import Path

import pytest

from s3net_jax.errors import OutputError
from s3net_jax.run import ResultLog, Source, plan_files
from s3net_jax.run.inputs import Kind
from s3net_jax.run.output.plan import make_plan
from s3net_jax.run.settings import Identity, RunSettings
from s3net_jax.schema import RESULT_KINDS, check_result, is_result_name
from tests.run.small import CONFIG


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


@pytest.mark.parametrize("name", ["a.labels.nii.gz", "a.seg.dcm"])
def test_no_file_of_unknown_origin_is_replaced(tmp_path: Path, name: str) -> None:
    """This includes DICOM SEG, although it is known only later whether it can be written."""
    source = Source(tmp_path / "in/a", "a", kind="dicom", files=(tmp_path / "in/a/1.dcm",))
    settings = RunSettings(tmp_path, CONFIG, Identity(CONFIG.digest, 0))
    (tmp_path / name).write_bytes(b"foreign")
    log = ResultLog(tmp_path / "results.jsonl")
    with pytest.raises(OutputError, match=f"{name} exists but is not from a finished run"):
        make_plan([source], settings, log)
    outputs = {name.split(".")[1]: name}
    log.put({"stem": "a", "outputs": outputs, "config": CONFIG.digest, "seed": 0})
    (task,) = make_plan([source], settings, log)
    assert task.is_kept and not task.is_done and task.files == plan_files(tmp_path, source)
    inputs = Source(tmp_path / name, "b", kind="dicom", files=(tmp_path / name,))
    with pytest.raises(OutputError, match="is an input and would be replaced"):
        make_plan([source, inputs], settings, log)
