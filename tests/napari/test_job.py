"""Segment in a thread: progress, cancelling, errors in one sentence; no napari is needed."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import s3net_jax as s3
from s3net_jax.napari import Cut, Job, PictureSession, Settings, VolumeSession, explain
from tests.fakes import fit_brightness, install_fit
from tests.napari.scenes import make_picture, make_volume

PICTURE = Cut("photo", make_picture(), "image")
FAST = Settings("fast", steps=3)


def test_settings_make_the_configuration() -> None:
    assert Settings().make_config() == s3.preset("best")
    config = Settings("fast", 7, "dark").make_config((-10, 300.5))
    assert config == s3.preset("fast").replace(
        fit={"steps": 7}, segment={"target": "dark"}, input={"window": "-10,300.5"}
    )
    for settings in (Settings("bset"), Settings(steps=0), Settings(target="drak")):
        with pytest.raises(s3.ConfigError):
            settings.make_config()


@pytest.mark.parametrize(
    ("cut", "kind", "steps"),
    [(PICTURE, PictureSession, 3), (Cut("scan", make_volume(), "volume"), VolumeSession, 9)],
)
def test_progress_counts_the_steps_of_all_fits(
    cut: Cut, kind: type, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    job = Job(cut, FAST)

    def fit(*args: Any, **more: Any) -> Any:
        seen.append((job.done, job.total, job.state))
        return fit_brightness(*args, **more)

    install_fit(monkeypatch, fit)
    assert job.state == "preparing"
    assert isinstance(job.run(), kind) and not job.error
    assert seen[0] == (0, steps, "compiling") and job.total == steps
    assert job.state.startswith(("masks", "fit 2 of 3, step 3/3"))


def test_a_cancelled_job_ends_with_its_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def fit(key: Any, image: Any, config: s3.Config, *, progress: Any, **_: Any) -> Any:
        for step in range(3):
            steps.append(step)
            if step == 1:
                job.cancel()
            progress(step + 1, {"loss": 1.0, "labels": 3})

    install_fit(monkeypatch, fit)
    job = Job(PICTURE, FAST)
    assert job.run() is None
    assert job.is_cancelled and not job.error and steps == [0, 1]


def test_errors_become_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(Cut("flat", np.full((40, 40), 7, np.uint8), "image"), FAST)
    assert job.run() is None
    assert job.error == "flat has only one colour: there is nothing to segment."
    job = Job(PICTURE, Settings("bset"))
    assert job.run() is None
    assert "Did you mean best" in job.error

    def fail(*_: Any, **__: Any) -> Any:
        raise KeyError("x")

    install_fit(monkeypatch, fail)
    job = Job(PICTURE, FAST)
    assert job.run() is None
    assert "unexpected error (KeyError" in job.error and "Traceback" not in job.error


def test_every_error_is_explained() -> None:
    assert explain(s3.InputError("Too small."), "photo") == "Too small."
    assert explain(MemoryError(), "photo").startswith("photo does not fit in memory")
    try:
        raise KeyError("x")
    except KeyError as error:
        assert explain(error, "photo").startswith(
            "Segmenting photo failed with an unexpected error"
        )


@pytest.mark.slow
def test_a_thread_gives_the_result_of_python() -> None:
    """Real fits: the same masks, and no other program than those that JAX keeps on disk."""
    found = []
    job = Job(PICTURE, FAST)
    thread = threading.Thread(target=lambda: found.append(job.run()))
    thread.start()
    thread.join()
    config = s3.preset("fast").replace(fit={"steps": 3})
    expected = s3.segment(PICTURE.values, config=config, progress=False)
    assert np.array_equal(found[0].clusters, expected.labels)
    assert np.array_equal(found[0].mask, expected.mask)
    assert (job.done, job.state) == (3, "masks")


def test_neither_the_package_nor_the_parts_import_napari() -> None:
    code = (
        "import sys, s3net_jax, s3net_jax.cli, s3net_jax.napari, s3net_jax.napari.sample\n"
        "s3net_jax.segment\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('napari', 'qtpy', 'PyQt6')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
