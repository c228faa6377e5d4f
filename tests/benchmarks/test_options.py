"""What the suites refuse before they measure anything: a sentence, code 2, no file touched."""

from __future__ import annotations

import json

import pytest

from benchmarks.harness import candidates, metadata, options
from benchmarks.harness.machine import build_result_name
from benchmarks.suites import SUITES, run


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.setattr(metadata, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(candidates, "has_torch", lambda: False)
    return tmp_path / "results"


def run_refused(capsys, command: str) -> str:
    """Suites report invalid options."""
    suite, *arguments = command.split("|")
    with pytest.raises(SystemExit) as ended:
        run(suite, arguments)
    said = capsys.readouterr().err
    assert ended.value.code == 2 and "Traceback" not in said
    return said.strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("step|--only|nosuch", "no candidate 'nosuch' here: choose from 's3net-jax'"),
        ("fit|--only|nosuch", "no candidate 'nosuch' here: choose from 's3net-jax'"),
        ("fit|--only|torch eager", "'torch eager' leaves nothing to measure"),
        ("step|--preset|nosuch", "invalid choice: 'nosuch'"),
        ("many|--preset|nosuch", "invalid choice: 'nosuch'"),
        ("scaling|--preset|nosuch", "invalid choice: 'nosuch'"),
        ("fit|--images|0", "'0' is not a whole number of at least 1"),
        ("fit|--images|-1", "'-1' is not a whole number of at least 1"),
        ("fit|--images|two", "'two' is not a whole number"),
        ("step|--repeats|0", "'0' is not a whole number"),
        ("ops|--dtype|nosuch", "invalid choice: 'nosuch'"),
        ("numerics|--implementation|nosuch", "invalid choice: 'nosuch'"),
        ("many|--quick|--images|/nonexistent", "--images /nonexistent: "),
        ("trace|--preset|nosuch", "invalid choice: 'nosuch'"),
    ],
)
def test_options_that_measure_nothing(command, said, folder, capsys):
    assert said in run_refused(capsys, command)
    assert not folder.is_dir() or not list(folder.iterdir())


# ``trace`` only prints.
@pytest.mark.parametrize("suite", [name for name in SUITES if name != "trace"])
def test_a_folder_that_can_not_be_written_to(suite, folder, capsys):
    folder.write_text("a file")
    said = run_refused(capsys, f"{suite}|--quick")
    assert f"can't write results to {folder}" in said and "S3NET_BENCHMARKS_RESULTS" in said


NARROWED = {
    "step-256-64": "step|--only|s3net-jax",
    "fit-256-64": "fit|--steps|10",
    "ops": "ops|--operator|linear",
    "numerics": "numerics|--only|operators",
    "scaling": "scaling|--axis|size",
}


@pytest.mark.parametrize("name", NARROWED)
def test_a_narrowed_run_leaves_the_file_of_another_command(name, folder, capsys):
    folder.mkdir()
    path = folder / f"{build_result_name(name)}.json"
    path.write_text(json.dumps({"metadata": {"command": "python -m benchmarks.whole"}}))
    before = path.read_text()
    said = run_refused(capsys, NARROWED[name])
    assert "another command (python -m benchmarks.whole)" in said and "--overwrite" in said
    assert path.read_text() == before


def test_what_may_be_replaced(folder):
    parser = options.Parser("fit", "")
    folder.mkdir()
    (folder / "name.json").write_text(
        json.dumps({"metadata": {"command": "python -m benchmarks.fit --steps 10"}})
    )
    parser.claim("name", ["--steps", "10", "--json"], narrowed=True, overwrite=False)
    parser.claim("name", ["--steps", "20"], narrowed=True, overwrite=True)
    parser.claim("name", ["--repeats", "9"], narrowed=False, overwrite=False)
    parser.claim("new", ["--steps", "20"], narrowed=True, overwrite=False)
    with pytest.raises(SystemExit):
        parser.claim("name", ["--steps", "20"], narrowed=True, overwrite=False)
