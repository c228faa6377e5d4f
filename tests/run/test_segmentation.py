"""What a result shows of itself, and writes."""

from __future__ import annotations

import copy
import io
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

import s3net_jax as s3
from s3net_jax.cli.display import QuietDisplay
from s3net_jax.run import LocalEngine, segment_inputs
from tests.fakes import install_fit
from tests.pictures import save_lesion

CONFIG = s3.preset("fast").replace(input={"size": 32}, fit={"steps": 2})


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    install_fit(monkeypatch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A picture whose file gives the size of its pixels."""
    save_lesion(tmp_path / "lesion.png")
    PilImage.open(tmp_path / "lesion.png").save(tmp_path / "lesion.jpg", dpi=(300, 300))
    return tmp_path / "lesion.jpg"


@pytest.fixture
def result(path: Path) -> s3.Segmentation:
    return s3.segment(path, config=CONFIG)


def test_files_are_those_of_the_command(
    path: Path, tmp_path: Path, result: s3.Segmentation
) -> None:
    out = tmp_path / "out"
    engine = LocalEngine(CONFIG)
    segment_inputs([path], out, CONFIG, engine=engine, listener=QuietDisplay())
    files = result.save(tmp_path / "ours/deep")
    assert list(files) == ["labels", "mask", "overlay"]
    for kind, file in files.items():
        assert file == tmp_path / f"ours/deep/lesion.{kind}.png"
        assert file.read_bytes() == (out / file.name).read_bytes()
    assert sorted(file.name for file in (tmp_path / "ours/deep").iterdir()) == sorted(
        file.name for file in files.values()
    )


def test_files_are_replaced_only_on_request(tmp_path: Path, result: s3.Segmentation) -> None:
    kept = tmp_path / "lesion.mask.png"
    kept.write_text("foreign")
    with pytest.raises(s3.OutputError, match=r"mask\.png exists: choose another name"):
        result.save(tmp_path)
    assert kept.read_text() == "foreign" and not (tmp_path / "lesion.labels.png").exists()
    assert result.save(tmp_path, name="b.1")["mask"].name == "b.1.mask.png"
    result.save(tmp_path, overwrite=True)
    assert kept.read_bytes() == (tmp_path / "b.1.mask.png").read_bytes()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\b"])
def test_names_of_files_stay_in_the_folder(
    tmp_path: Path, result: s3.Segmentation, name: str
) -> None:
    with pytest.raises(ValueError, match="give a file name without folders"):
        result.save(tmp_path / "out", name=name)
    assert not (tmp_path / "out").exists()


def test_the_name_of_an_array_is_image(tmp_path: Path) -> None:
    pixels = np.asarray(PilImage.fromarray(np.eye(40, dtype=np.uint8) * 200))
    ((one, other),) = s3.segment_batch([pixels], config=CONFIG, seeds=[0, 1])
    assert one.path is None and one.image is other.image
    assert one.image.shape == (40, 40, 3) and one.image.dtype == np.uint8
    assert one.save(tmp_path)["labels"].name == "image.labels.png"


def test_notebooks_show_the_overlay(result: s3.Segmentation) -> None:
    overlay = result.overlay()
    assert overlay.mode == "RGB" and overlay.width > 3 * 440
    shown = PilImage.open(io.BytesIO(result._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), np.asarray(overlay))
    page = result._repr_html_()
    assert page.startswith('<figure style="margin:0"><img src="data:image/jpeg;base64,')
    share = f"{100 * result.mask.mean():.1f} % of the image"
    text = f"64×48 pixels, 3 clusters, target {share}, {result.confidence}, 2 steps, "
    assert text in page and repr(result).startswith(f"Segmentation({text}")


def test_notes_are_shown_and_escaped(result: s3.Segmentation) -> None:
    values = {**vars(result), "notes": ("a < b",), "mask": np.zeros_like(result.mask)}
    page = s3.Segmentation(**values)._repr_html_()
    assert "<div>a &lt; b</div>" in page and "empty mask" in page


def test_results_can_be_copied_and_pickled(result: s3.Segmentation) -> None:
    assert result == result and result != copy.copy(result)
    again = pickle.loads(pickle.dumps(result))
    assert repr(again) == repr(result) and again._repr_png_() == result._repr_png_()


@pytest.mark.parametrize("empty", [False, True])
def test_plot_draws_three_pictures(result: s3.Segmentation, empty: bool) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    from matplotlib import pyplot

    if empty:
        result = s3.Segmentation(**{**vars(result), "mask": np.zeros_like(result.mask)})
    axes = result.plot()
    share = f"{100 * result.mask.mean():.1f} % of the image"
    titles = [place.get_title() for place in axes]
    assert titles[:2] == ["image", "3 clusters"]
    assert titles[2] == ("no target" if empty else f"target, {share}")
    assert axes[1].images[0].get_array().shape == (48, 64)
    assert len(axes[2].collections) == (0 if empty else 1)
    _, own = pyplot.subplots(1, 3)
    assert result.plot(own) is own
    pyplot.close("all")


def test_without_matplotlib_a_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, result: s3.Segmentation
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"^plot\(\) needs matplotlib: pip install matplotlib\.$"):
        result.plot()
