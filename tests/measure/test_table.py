"""Test that tables are complete, ordered, and harmless in a spreadsheet."""

from __future__ import annotations

import numpy as np

from s3net_jax.csv_text import parse_csv
from s3net_jax.measure import HEAD, format_table, measure_mask, round_row


def test_columns_of_pictures_and_volumes() -> None:
    flat = measure_mask(np.ones((4, 5), bool), np.zeros((4, 5, 3), np.uint8), 0.1)
    solid = measure_mask(np.ones((3, 4, 5), bool), np.zeros((3, 4, 5)))
    head = {"name": "a", "input": "a.png", "width_px": 5}
    only = parse_csv(format_table([head | round_row(flat)]))
    assert "volume_ml" not in only[0] and "mean_value" not in only[0]
    assert [*only[0]][:4] == [*HEAD, "width_px", "pixel_width_mm"]
    assert (only[0]["area_px"], only[0]["area_mm2"], only[0]["mean_red"]) == ("20", "0.2", "0")
    both = parse_csv(format_table([head | flat, head | solid]))
    assert both[1]["area_px"] == both[1]["volume_ml"] == both[0]["volume_voxels"] == ""
    assert both[1]["volume_voxels"] == "60" and both[1]["mean_value"] == "0"
    assert format_table([]) == b"name,input\n"


def test_numbers_are_rounded_and_have_no_exponent() -> None:
    row = round_row({"name": "a", "area_mm2": 1 / 3e6, "perimeter_mm": 1234567.8, "area_px": 10**7})
    (found,) = parse_csv(format_table([row]))
    assert (found["area_mm2"], found["perimeter_mm"]) == ("0.000000333333", "1234570")
    assert found["area_px"] == "10000000"


def test_names_are_no_formulas() -> None:
    names = ["=1+2", "+a", "-b", "@c", "=cmd|' /C calc'!A0", 'ü,"x"\n']
    content = format_table([{"name": name, "input": f"{name}.png"} for name in names])
    lines = content.decode("utf-8").splitlines()
    assert not any(line.lstrip('"').startswith(("=", "+", "-", "@")) for line in lines)
    assert [row["name"] for row in parse_csv(content)] == names
