"""Read exported outlines back with the libraries of their formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s3net_jax.errors import ConfigError
from s3net_jax.measure import (
    COCO_START,
    CocoImage,
    annotate,
    check_exports,
    encode_coco,
    encode_geojson,
    encode_rois,
    parse_exports,
    trace_polygons,
)
from s3net_jax.measure.coco import encode_lengths


def make_mask(holes: bool, shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    """Two discs, one with holes that touch each other and the outline at a corner."""
    y, x = np.indices(shape)
    mask = (np.hypot(y - 25, x - 30) < 18) | (np.hypot(y - 50, x - 60) < 7.3)
    if holes:
        mask[20:25, 20:25] = mask[25:28, 25:30] = False
    return mask


def compute_iou(found: np.ndarray, mask: np.ndarray) -> float:
    return np.count_nonzero(found & mask) / np.count_nonzero(found | mask)


@pytest.mark.parametrize("holes", [False, True])
def test_geojson(holes: bool) -> None:
    shapely = pytest.importorskip("shapely")
    mask = make_mask(holes)
    content = json.loads(encode_geojson([[trace_polygons(mask)]]))
    (feature,) = content["features"]
    assert feature["geometry"]["type"] == "MultiPolygon" and "plane" not in feature["geometry"]
    assert feature["properties"]["objectType"] == "annotation"
    assert feature["properties"]["classification"]["name"] == "target"
    shape = shapely.from_geojson(json.dumps(feature["geometry"]))
    assert shape.is_valid and shape.area == np.count_nonzero(mask)
    y, x = np.indices(mask.shape) + 0.5
    assert np.array_equal(shapely.contains_xy(shape, x, y), mask)


def test_geojson_of_pages_and_instances() -> None:
    parts = [make_mask(False) & (np.arange(70) < 50), make_mask(False) & (np.arange(70) > 50)]
    empty = np.zeros((60, 70), bool)
    pages = [[trace_polygons(page) for page in (empty, part)] for part in parts]
    found = json.loads(encode_geojson(pages))["features"]
    assert [one["properties"]["name"] for one in found] == ["target 1", "target 2"]
    assert all(one["geometry"]["plane"] == {"c": -1, "z": 1, "t": 0} for one in found)
    assert all(one["geometry"]["type"] == "Polygon" for one in found)
    assert json.loads(encode_geojson([]))["features"] == []


def read_coco(content: bytes, path: Path) -> Any:
    coco = pytest.importorskip("pycocotools.coco")
    path.write_bytes(content)
    return coco.COCO(str(path))


# pycocotools has not followed NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("holes", [False, True])
def test_coco(tmp_path: Path, holes: bool) -> None:
    mask = make_mask(holes)
    image = CocoImage("a b.png", (60, 70), [annotate(mask)])
    empty = CocoImage("é.png", (5, 6), [])
    content = encode_coco([empty, image])
    assert content.startswith(COCO_START) and content.isascii()
    coco = read_coco(content, tmp_path / "coco.json")
    assert [one["file_name"] for one in coco.loadImgs([1, 2])] == ["é.png", "a b.png"]
    assert coco.getAnnIds(imgIds=[1]) == []
    (found,) = coco.loadAnns(coco.getAnnIds(imgIds=[2]))
    assert isinstance(found["segmentation"], dict if holes else list)
    assert np.array_equal(coco.annToMask(found) > 0, mask)
    assert found["area"] == np.count_nonzero(mask) and found["bbox"] == [13, 8, 55, 50]
    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == ["target"]


@pytest.mark.parametrize("seed", range(8))
def test_run_lengths_are_those_of_pycocotools(seed: int) -> None:
    tools = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(seed)
    mask = random.random((37, 53)) < random.random() ** 2
    mask[:, 10 : 10 + 5 * seed] = seed % 2 == 0
    expected = tools.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    assert encode_lengths(mask) == expected


def fill_rings(rings: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Fill by the even-odd rule, as ImageJ does."""
    from skimage.draw import polygon2mask

    return np.sum([polygon2mask(shape, ring[:, ::-1] - 0.5) for ring in rings], axis=0) % 2 == 1


@pytest.mark.parametrize("kind", ["simple", "parts", "holes"])
def test_imagej(tmp_path: Path, kind: str) -> None:
    roifile = pytest.importorskip("roifile")
    mask = make_mask(kind == "holes")
    if kind == "simple":
        mask &= np.arange(70) < 50
    content = encode_rois([[trace_polygons(mask)]])
    assert content == encode_rois([[trace_polygons(mask)]])
    (tmp_path / "a.zip").write_bytes(content)
    (roi,) = roifile.roiread(tmp_path / "a.zip")
    assert roi.name == "target" and roi.composite == (kind != "simple")
    rings = roi.coordinates(multi=True)
    rings = rings if isinstance(rings, list) else [rings]
    assert compute_iou(fill_rings(rings, mask.shape), mask) == 1
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (roi.left, roi.top) == (columns[0], rows[0])
    assert (roi.right, roi.bottom) == (columns[-1] + 1, rows[-1] + 1)


def test_imagej_pages(tmp_path: Path) -> None:
    roifile = pytest.importorskip("roifile")
    pages = [trace_polygons(np.zeros((9, 9), bool)), trace_polygons(np.ones((9, 9), bool))]
    (tmp_path / "a.zip").write_bytes(encode_rois([pages, pages]))
    found = roifile.roiread(tmp_path / "a.zip")
    assert [(roi.name, roi.position) for roi in found] == [("target-1-2", 2), ("target-2-2", 2)]


def test_names_of_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_exports("imagej, geojson,GeoJSON") == ("geojson", "imagej")
    with pytest.raises(ConfigError, match=r"no export format 'geosjon'\. Did you mean geojson"):
        parse_exports("geosjon")
    with pytest.raises(ConfigError, match="no export format ''"):
        parse_exports("coco,")
    monkeypatch.setattr("s3net_jax.measure.exports.find_spec", lambda name: None)
    check_exports(("coco", "geojson"))
    with pytest.raises(ConfigError, match=r"requires roifile: pip install 's3net-jax\[export\]'"):
        check_exports(("coco", "imagej"))
