"""Build Markdown tables from result files of steps, fits and many images."""

from __future__ import annotations

from typing import Any

__all__ = [
    "build_fit_table",
    "build_many_table",
    "build_scaling_table",
    "build_step_table",
    "describe_machine",
    "format_seconds",
    "format_short_table",
    "format_table",
    "format_times",
    "name_machine",
]

Content = dict[str, Any]


def describe_machine(content: Content) -> str:
    """Describe the machine and versions of a result in words."""
    machine, versions = content["metadata"]["machine"], content["metadata"]["versions"]
    if machine["backend"] == "cpu":
        where = f"{machine['threads']} threads of {machine['processor']}"
    else:
        where = machine["devices"][0].partition(" ")[2]
    beside = f"torch {versions['torch']}, " if "torch" in versions else ""
    commit = content["metadata"]["commit"]
    return f"{where} (jax {versions['jax']}, {beside}Python {versions['python']}, commit {commit})"


def name_machine(content: Content) -> str:
    """Return the processor or GPU that a result was measured on."""
    machine = content["metadata"]["machine"]
    if machine["backend"] == "cpu":
        return f"{machine['processor']}, {machine['threads']} threads"
    return machine["devices"][0].partition(" ")[2]


def format_table(head: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def format_short_table(head: list[str], rows: list[list[str]]) -> str:
    """Format a Markdown table without outer bars, which would count as words of the README."""
    lines = [" | ".join(head), "|".join(["---"] * len(head)), *map(" | ".join, rows)]
    return "\n".join(lines) + "\n"


def format_times(row: Content, other: str) -> str:
    """Format a ratio with its quartiles."""
    found = row.get(f"times_faster_than_{other}")
    return f"{found['median']:.2f} ({found['q1']:.2f}–{found['q3']:.2f})" if found else ""


def format_seconds(value: float) -> str:
    """Format seconds with three decimals; short times with three significant digits."""
    return f"{value:.3f}" if value >= 0.1 else f"{value:.3g}"


def _describe_kind(content: Content) -> str:
    return content.get("dtype", "float32")


def _describe_repeats(content: Content) -> str:
    found = {row["repeats"] for rows in content["presets"].values() for row in rows.values()}
    few, many = min(found), max(found)
    return f"{few}" if few == many else f"{few} (slow ones) to {many}"


def build_step_table(content: Content) -> str:
    """Build the tables of steps and of the parts of a step."""
    text = (
        f"One optimisation step at {content['size']}×{content['size']} with "
        f"{content['channels']} channels in {_describe_kind(content)}, on "
        f"{describe_machine(content)}; medians and quartiles of {_describe_repeats(content)} "
        "interleaved repeats:\n\n"
    )
    head = ["preset", "implementation", "seconds per step", "times faster than PyTorch"]
    head += ["than plain PyTorch", "than `torch.compile`", "than stock Flax", "compile (s)"]
    head.append("peak memory (MiB)")
    rows = []
    for preset, found in content["presets"].items():
        for name, row in found.items():
            rows.append(
                [
                    f"`{preset}`",
                    name,
                    f"{format_seconds(row['median_s'])} ({format_seconds(row['q1_s'])}"
                    f"–{format_seconds(row['q3_s'])})",
                    format_times(row, "torch"),
                    format_times(row, "torch_plain"),
                    format_times(row, "torch_compile"),
                    format_times(row, "stock_flax"),
                    f"{row['compile_s']:.1f}",
                    f"{row['peak_mib']:.0f}",
                ]
            )
    text += format_table(head, rows) + _list_left_out(content)
    for preset, products in content["products"].items():
        taken = [
            f"{content['presets'][preset][name]['median_s'] / products['median_s']:.2f} ({name})"
            for name in ("s3net-jax", "s3net-jax, memory kept")
            if name in content["presets"][preset]
        ]
        if not taken:
            continue
        eager = content["presets"][preset].get("torch eager")
        text += (
            f"\nThe matrix products of a `{preset}` step ({products['gflop']:.0f} GFLOP) take "
            f"{format_seconds(products['median_s'])} s, each in the faster framework. Our whole "
            f"step takes {' or '.join(taken)} times as long."
        )
        if eager:
            text += (
                " A step that consisted only of these products would be "
                f"{eager['median_s'] / products['median_s']:.1f} times faster than eager PyTorch."
            )
        text += "\n"
    text += (
        "\nTime of each part of a step, forward and backward, measured separately in float32:\n\n"
    )
    parts = [
        [n, f"{1e3 * r['median_s']:.2f} ({1e3 * r['q1_s']:.2f}–{1e3 * r['q3_s']:.2f})"]
        for n, r in content["parts"].items()
    ]
    return text + format_table(["part", "milliseconds"], parts)


def build_fit_table(content: Content) -> str:
    """Build the table of whole fits."""
    text = (
        f"Whole fits in {_describe_kind(content)} without early stops, on "
        f"{describe_machine(content)}. Fits are timed over {content['steps']} steps; the table "
        f"shows medians and quartiles of {_describe_repeats(content)} interleaved repeats, and "
        "images per minute at 50 steps:\n\n"
    )
    head = ["preset", "implementation", "seconds per image and step", "images per minute"]
    others = {
        "torch": "times faster than PyTorch",
        "torch_plain": "than plain PyTorch",
        "torch_compile": "than `torch.compile`",
        "steps": "than step by step",
        "steps_kept": "than step by step, memory kept",
    }
    measured = {key for found in content["presets"].values() for r in found.values() for key in r}
    others = {k: v for k, v in others.items() if f"times_faster_than_{k}" in measured}
    head += [*others.values(), "peak memory (MiB)"]
    rows = [
        [
            f"`{preset}`",
            name,
            f"{row['seconds_per_image_and_step']:.4f}",
            f"{row['images_per_minute']:.2f}",
            *(format_times(row, other) for other in others),
            f"{row['peak_mib']:.0f}",
        ]
        for preset, found in content["presets"].items()
        for name, row in found.items()
    ]
    return text + format_table(head, rows) + _list_left_out(content)


def _list_left_out(content: Content) -> str:
    """Format the candidates that failed, with the reasons."""
    return "".join(
        f"\nExcluded from `{preset}`: {name}: {why}\n"
        for preset, found in content.get("left_out", {}).items()
        for name, why in found.items()
    )


def build_scaling_table(content: Content) -> str:
    """Build the table of points along sizes, images and channels."""
    text = (
        f"Seconds per image and step of `{content['preset']}`, measured in fits of "
        f"{content['steps']} steps, on {describe_machine(content)}:\n\n"
    )
    names = list(dict.fromkeys(n for row in content["rows"] for n in row.get("candidates", ())))
    rows = []
    for row in content["rows"]:
        start = [row["axis"], f"{row['size']}×{row['size']}", str(row["images"])]
        start.append(str(row["channels"]))
        if "failed" in row:
            rows.append([*start, *[""] * len(names), f"failed: {row['failed']}"])
            continue
        found, left_out = row["candidates"], row.get("left_out", {})
        cells = [
            f"{found[n]['per_image_and_step']['median_s']:.4f}"
            if n in found
            else left_out.get(n, "")
            for n in names
        ]
        rows.append([*start, *cells, format_times(found.get("s3net-jax", {}), "torch")])
    head = ["varied", "size", "images at once", "channels", *names, "times faster than PyTorch"]
    return text + format_table(head, rows)


def build_many_table(content: Content) -> str:
    """Build the tables of many images, a sweep and processes."""
    size, channels = content["size"], content["channels"]
    rates = content["images"]
    count = next(iter(rates.values()))["images"]
    text = (
        f"{count} images ({content['source']}) at {size}×{size} with {channels} channels and the "
        f"preset `{content['preset']}`, including early stops, on {describe_machine(content)}:\n\n"
    )
    head = ["method", "images per minute", "mean steps", "times faster than PyTorch"]
    rows = [
        [n, f"{r['images_per_minute']:.2f}", f"{r['mean_steps']:.1f}", format_times(r, "torch")]
        for n, r in rates.items()
    ]
    text += format_table(head, rows)
    found = content["sweep"]
    faster = found["times_faster_than_runs"]
    text += (
        f"\nA sweep over {found['settings']} settings of the loss weights, on one image of "
        f"{found['size']}×{found['size']} pixels with {found['channels']} channels and "
        f"{found['steps']} steps, takes {found['one_program']['median_s']:.2f} s as one program "
        f"and {found['a_run_each']['median_s']:.2f} s as {found['settings']} runs that share one "
        f"compilation. The single program is {faster['median']:.2f} "
        f"({faster['q1']:.2f}–{faster['q3']:.2f}) times as fast.\n"
    )
    if content["processes"] is None:
        return text
    work = content["processes"]
    text += f"\n`{work['command']}` on {next(iter(work['rows'].values()))['images']} pictures:\n\n"
    text += format_table(
        ["processes", "images per minute"],
        [
            # The committed files have an earlier wording.
            [n.replace("2 of them", "2 workers"), f"{r['images_per_minute']:.2f}"]
            for n, r in work["rows"].items()
        ],
    )
    good = work["efficiency"]
    text += (
        f"\nTwo processes that share a folder reach {good['median']:.2f} "
        f"({good['q1']:.2f}–{good['q3']:.2f}) of twice the throughput of one single-threaded "
        "process.\n"
    )
    return text
