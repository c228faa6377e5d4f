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
    """A Markdown table without outer bars, which the README's word count would include."""
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
        f"One optimisation step at {content['size']}×{content['size']}, {content['channels']} "
        f"channels, {_describe_kind(content)}, on {describe_machine(content)}; median and "
        f"quartiles of {_describe_repeats(content)} interleaved repeats:\n\n"
    )
    head = ["preset", "implementation", "seconds a step", "times faster than PyTorch"]
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
            f"\nThe matrix products of a `{preset}` step alone, each by the faster framework: "
            f"{format_seconds(products['median_s'])} s for {products['gflop']:.0f} GFLOP; "
            "our whole step takes "
            f"{' or '.join(taken)} times as long."
        )
        if eager:
            text += (
                " A step of nothing but these products would be "
                f"{eager['median_s'] / products['median_s']:.1f} times faster than PyTorch eager."
            )
        text += "\n"
    text += "\nWhere the time goes: each part of a step alone, forward and backward, float32.\n\n"
    parts = [
        [n, f"{1e3 * r['median_s']:.2f} ({1e3 * r['q1_s']:.2f}–{1e3 * r['q3_s']:.2f})"]
        for n, r in content["parts"].items()
    ]
    return text + format_table(["part", "milliseconds"], parts)


def build_fit_table(content: Content) -> str:
    """Build the table of whole fits."""
    text = (
        f"A whole fit, {_describe_kind(content)}, early stops off, on {describe_machine(content)} "
        "(timed over "
        f"{content['steps']} steps; median and quartiles of {_describe_repeats(content)} "
        "interleaved "
        "repeats; images a minute at 50 steps):\n\n"
    )
    head = ["preset", "implementation", "seconds an image and step", "images a minute"]
    others = {
        "torch": "times faster than PyTorch",
        "torch_plain": "than plain PyTorch",
        "torch_compile": "than `torch.compile`",
        "steps": "than its steps one by one",
        "steps_kept": "than these, memory kept",
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
        f"\nLeft out of `{preset}`: {name}: {why}\n"
        for preset, found in content.get("left_out", {}).items()
        for name, why in found.items()
    )


def build_scaling_table(content: Content) -> str:
    """Build the table of points along sizes, images and channels."""
    text = (
        f"Seconds for an image and step of `{content['preset']}` inside a fit of "
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
        f"{count} images ({content['source']}) at {size}×{size}, {channels} channels, preset "
        f"`{content['preset']}`, early stops included, on {describe_machine(content)}:\n\n"
    )
    head = ["fitted", "images a minute", "steps, mean", "times faster than PyTorch"]
    rows = [
        [n, f"{r['images_per_minute']:.2f}", f"{r['mean_steps']:.1f}", format_times(r, "torch")]
        for n, r in rates.items()
    ]
    text += format_table(head, rows)
    found = content["sweep"]
    faster = found["times_faster_than_runs"]
    text += (
        f"\nA sweep over {found['settings']} settings of the losses' weights, one image of "
        f"{found['size']}×{found['size']}, {found['channels']} channels, {found['steps']} steps: "
        f"{found['one_program']['median_s']:.2f} s as one program, "
        f"{found['a_run_each']['median_s']:.2f} s as a run for each, of one compilation: "
        f"{faster['median']:.2f} ({faster['q1']:.2f}–{faster['q3']:.2f}) times as fast.\n"
    )
    if content["processes"] is None:
        return text
    work = content["processes"]
    text += f"\n`{work['command']}` on {next(iter(work['rows'].values()))['images']} pictures:\n\n"
    text += format_table(
        ["processes", "images a minute"],
        [[n, f"{r['images_per_minute']:.2f}"] for n, r in work["rows"].items()],
    )
    good = work["efficiency"]
    text += (
        f"\nTwo processes that share a folder do {good['median']:.2f} "
        f"({good['q1']:.2f}–{good['q3']:.2f}) of twice the work of one with one thread.\n"
    )
    return text
