"""The measures of the comparison of volumes, and its synthetic volume."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.volumes import __main__ as volumes
from benchmarks.volumes.measures import compute_dsc, compute_kappa, measure_neighbours
from benchmarks.volumes.phantom import draw_organ, draw_phantom


def test_measures_of_known_maps() -> None:
    first, second = np.array([[0, 0, 1, 1]]), np.array([[0, 1, 1, 1]])
    assert compute_dsc(first > 0, second > 0) == pytest.approx(4 / 5)
    assert compute_dsc(first > 1, second > 1) == 1
    # Agreed ¾; by chance ½·¼ + ½·¾ = ½.
    assert compute_kappa(first, second) == pytest.approx(0.5)
    assert compute_kappa(first, first) == compute_kappa(0 * first, 0 * first) == 1
    labels = np.stack([first, second, second])
    found = measure_neighbours(labels, labels > 0)
    assert found == {"mask_dsc": 0.9, "label_kappa": 0.75}
    assert measure_neighbours(labels, labels > 5)["mask_dsc"] == 0


def test_the_phantom_has_two_dark_lungs() -> None:
    values, lungs = draw_phantom(20, 64)
    assert values.shape == lungs.shape == (20, 64, 64) and values.dtype == np.int16
    assert not lungs[:8].any() and lungs[14].any() and not lungs[-1].any()
    assert np.median(values[lungs]) < -700 and values[:, 0, 0].max() < -850
    assert 0.01 < lungs.mean() < 0.1
    np.testing.assert_array_equal(values, draw_phantom(20, 64).values)


def test_the_organ_is_small_and_bright() -> None:
    values, organ = draw_organ()
    assert values.shape == organ.shape == (40, 128, 128) and values.dtype == np.int16
    assert 0.004 < organ.mean() < 0.006 and not organ[[0, -1]].any()
    assert np.median(values[organ]) == 230 and np.median(values[~organ]) < 150
    np.testing.assert_array_equal(values, draw_organ().values)


def test_the_result_file_has_the_rows_of_today() -> None:
    rows = json.loads(volumes.RESULT.read_text())["rows"]
    assert set(rows) <= set(volumes.ROWS)
    for name, row in rows.items():
        given = row["one_network"], row["target"], row.get("training_slices")
        assert given == volumes.ROWS[name][1:]
        assert 0 <= row["dsc"] <= 1 and row["cpu_seconds"] > 0 and row["commit"]
