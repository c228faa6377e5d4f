"""Test mutants of all files that s3net reads from its folders: each is used or refused clearly.

``S3NET_TEST_MUTANTS=2000 pytest tests/run/output/test_fuzz_records.py`` tries 2000 of each.
"""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3net_jax.config import ConfigError
from s3net_jax.evaluate.check import check_folder
from s3net_jax.evaluate.metrics import METRICS
from s3net_jax.evaluate.scores import Score, read_scores, write_scores
from s3net_jax.experiments import read_grid, read_tuning
from s3net_jax.experiments.folder import begin_folder
from s3net_jax.io import InputError, OutputError, read_film
from s3net_jax.run.inputs import discover
from s3net_jax.run.output.history import read_history
from s3net_jax.run.output.log import ResultLog
from s3net_jax.run.output.naming import restore_names
from s3net_jax.run.output.plan import make_plan
from s3net_jax.run.settings import Identity, RunSettings
from tests.experiments.files import ABLATION, COMPARISON, TUNING
from tests.fakes import install_fit
from tests.pictures import save_lesion
from tests.run.small import CONFIG, run

MUTANTS = int(os.environ.get("S3NET_TEST_MUTANTS", "60"))
ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 7, 2**31, 2**63, 10**30, 10**400, 0.5, 1e308, "", "x", "../x", "/x"),
    *("a\0b", "\ud800", "..", ".", "é" * 200, [], [[]], [7], {}, {"a": 7}, {"../a": "../b"}),
)


def change_bytes(random_: random.Random, content: bytes) -> bytes:
    """Flip, cut, double or insert bytes."""
    data = bytearray(content)
    for _ in range(random_.choice((1, 1, 2, 8))):
        place = random_.randrange(len(data) + 1)
        match random_.randrange(4):
            case 0:
                data[place : place + 1] = bytes([random_.randrange(256)])
            case 1:
                del data[place : place + random_.randrange(1, 40)]
            case 2:
                data[place:place] = data[place : place + random_.randrange(1, 200)]
            case _:
                data[place:place] = random_.choice((b"\0", b"[", b"{", b'"', b"\n", b"1e999", b"-"))
    return bytes(data)


def change_value(random_: random.Random, value: Any) -> Any:
    """Replace one value or key of parsed JSON by an odd one."""
    value = copy.deepcopy(value)
    node = value
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return random_.choice(ODD)
        key = random_.choice(keys)
        if isinstance(node[key], (dict, list)) and random_.random() < 0.7:
            node = node[key]
            continue
        if random_.random() < 0.2:
            node.pop(key)
        else:
            node[key] = random_.choice(ODD)
        return value


def try_act(act: Callable[[], object], *sentences: type[Exception]) -> None:
    """Check that ``act`` returns, or raises one of ``sentences`` with a single line."""
    try:
        act()
    except sentences as error:
        assert len(str(error).splitlines()) == 1


def make_mutants(content: bytes, seed: int, is_json: bool = True) -> list[bytes]:
    random_ = random.Random(seed)
    found = [change_bytes(random_, content) for _ in range(MUTANTS)]
    if is_json:
        value = json.loads(content)
        found += [json.dumps(change_value(random_, value)).encode() for _ in range(MUTANTS)]
    return found


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Make the folder of a finished run."""
    install_fit(monkeypatch)
    save_lesion(tmp_path / "a.png")
    run(tmp_path, tmp_path / "a.png", config=CONFIG.replace(fit={"record_labels": True}))
    return tmp_path / "out"


@pytest.mark.slow
def test_records_of_results_and_runs(out: Path) -> None:
    config = CONFIG.replace(fit={"record_labels": True})
    settings = RunSettings(out, config, Identity(CONFIG.digest, 0))

    def resume() -> None:
        log = ResultLog(out / "results.jsonl")
        sources = restore_names(discover([out.parent / "a.png"]), log)
        for task in make_plan(sources, settings, log):
            assert Path(task.source.stem).name == task.source.stem
        log.settle()

    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for name in ("results.jsonl", "run.json", ".writing-0.json", ".writing-5.json"):
        whole = before.get(name, b'["a.mask.png", "b.mask.png"]')
        for mutant in make_mutants(whole, 1):
            (out / name).write_bytes(mutant)
            try_act(resume, OutputError)
            try_act(lambda: check_folder(out), OutputError)
        (out / name).unlink(missing_ok=True)
        if name in before:
            (out / name).write_bytes(before[name])
    after = {path.name: path.read_bytes() for path in out.iterdir()}
    assert after == before and {path.name for path in out.parent.iterdir()} == {"a.png", "out"}


def test_histories_films_and_tables(out: Path) -> None:
    for mutant in make_mutants((out / "a.history.json").read_bytes(), 2):
        (out / "a.history.json").write_bytes(mutant)
        try_act(lambda: read_history(out / "a.history.json"), InputError)
    for mutant in make_mutants((out / "a.steps.png").read_bytes(), 3, is_json=False):
        (out / "a.steps.png").write_bytes(mutant)
        try_act(lambda: read_film(out / "a.steps.png"), InputError)
    table = out / "metrics.csv"
    write_scores(table, [Score("m", "a", "blind", dict.fromkeys(METRICS, 1.0), 1.0)] * 3)
    for mutant in make_mutants(table.read_bytes(), 4, is_json=False):
        table.write_bytes(mutant)
        try_act(lambda: read_scores(table), ConfigError)


def test_experiment_files_and_their_folders(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    readers: dict[str, Callable[[], object]] = {
        ABLATION: lambda: read_grid(path, "ablation"),
        COMPARISON: lambda: read_grid(path, "comparison"),
        TUNING: lambda: read_tuning(path),
    }
    for text, read in readers.items():
        for mutant in make_mutants(text.encode(), 5, is_json=False):
            path.write_bytes(mutant)
            try_act(read, ConfigError)
    folder = tmp_path / "out"
    begin_folder(folder, "title", {"one": {"config": "x", "seeds": 1}}, {"seed": 0}, False)
    mark = folder / "experiment.json"
    whole = mark.read_bytes()
    for mutant in make_mutants(whole, 6):
        mark.write_bytes(mutant)
        try_act(
            lambda: begin_folder(folder, "title", {"one": {"config": "x"}}, {"seed": 0}, False),
            OutputError,
        )
