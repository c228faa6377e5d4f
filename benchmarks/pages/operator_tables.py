"""Build Markdown tables of operators from result files: speed and rounding errors."""

from __future__ import annotations

from benchmarks.pages.tables import Content, describe_machine, format_table, format_times

__all__ = ["build_numerics_table", "build_ops_table"]


def build_ops_table(content: Content) -> str:
    """Build the table of every operator, call, dtype and direction."""
    limits = content["ceilings"]
    products = " and ".join(
        f"{limits[name] / 1e9:.0f} GFLOP/s {name.removeprefix('flops_')}"
        for name in sorted(limits, reverse=True)
        if name.startswith("flops_")
    )
    text = (
        f"Single operators on {describe_machine(content)}. Ceilings measured in the same run: "
        f"{products} (square matrix product), "
        f"{limits['bytes_per_s'] / 1e9:.1f} GB/s (copy). The share of the roofline is the shortest "
        "time that these ceilings allow, divided by the measured time; for fused calls it counts "
        "only the minimum memory traffic.\n\n"
    )
    head = ["operator", "call", "dtype", "direction", "implementation", "ms", "GFLOP/s", "GB/s"]
    head += ["share of roofline", "times faster than PyTorch"]
    rows = [
        [
            f"`{row['operator']}`",
            row["call"],
            row["dtype"],
            row["direction"],
            row["implementation"],
            f"{1e3 * row['median_s']:.2f} ({1e3 * row['q1_s']:.2f}–{1e3 * row['q3_s']:.2f})",
            f"{row['gflop_per_s']:.1f}",
            f"{row['gb_per_s']:.1f}",
            f"{100 * row['share_of_roofline']:.0f} %",
            format_times(row, "torch"),
        ]
        for row in content["rows"]
    ]
    return text + format_table(head, rows)


def build_numerics_table(content: Content) -> str:
    """Build the tables of errors of operators and trajectories, where measured."""
    parts = [_build_operator_errors(content)] if content["operators"] else []
    parts += [_build_trajectories(content)] if content["trajectories"] else []
    return f"On {describe_machine(content)}.\n\n" + "\n".join(parts)


def _build_operator_errors(content: Content) -> str:
    text = (
        "Largest errors against float64, relative to the largest value, over all argument specs. "
        "The allowed error is a few units in the last place times the square root of the number "
        "of summed terms; in bfloat16 it is twice PyTorch's error.\n\n"
    )
    head = ["operator", "dtype", "implementation", "calls", "value", "gradients"]
    head.append("share of the allowed error")
    rows = [
        [
            f"`{row['operator']}`",
            row["dtype"],
            row["implementation"],
            str(row["calls"]),
            _format_error(row["value"]),
            _format_error(row["gradient"]),
            _format_error(row["share_of_tolerance"], ".0%").replace("%", " %"),
        ]
        for row in content["operators"]
    ]
    return text + format_table(head, rows)


def _format_error(value: float | None, form: str = ".1e") -> str:
    return "not finite" if value is None else format(value, form)


def _build_trajectories(content: Content) -> str:
    size, channels = content["size"], content["channels"]
    text = (
        f"Whole fits at {size}×{size} with {channels} channels, compared with our float64 fit "
        "from the same parameters and with the same transforms. Rounding flips the pseudo labels "
        "of single pixels and the signs of differences in the spatial loss, and every later step "
        "amplifies these changes, so no float32 fit stays close to the float64 fit. Labels are "
        "compared by index: clusters that only exchange indices count as disagreement.\n\n"
    )
    rows = []
    for preset, found in content["trajectories"].items():
        for row in found:
            marks = sorted({0, 4, 9, len(row["labels"]) - 1} & set(range(len(row["labels"]))))
            for mark in marks:
                rows.append(
                    [
                        f"`{preset}`",
                        row["implementation"],
                        row["dtype"],
                        str(mark + 1),
                        _format_error(row["cross_entropy"][mark]),
                        f"{100 * row['labels'][mark]:.1f} %",
                    ]
                )
    head = [
        "preset",
        "implementation",
        "dtype",
        "step",
        "difference in cross entropy",
        "same labels",
    ]
    return text + format_table(head, rows)
