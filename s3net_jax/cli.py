"""The command ``s3net``: from arguments to exit codes; the work is done elsewhere.

Exit codes: 0 everything done, 1 an input failed, 2 the command can't be carried out as given,
130 interrupted, 143 terminated. Heavy packages are imported only when a command needs them.
"""

from __future__ import annotations

import argparse
import importlib
import io
import json
import os
import signal
import sys
import threading
from contextlib import AbstractContextManager, nullcontext

from s3net_jax.arguments import UsageError, parse
from s3net_jax.attended import WORKER, attended, count_of, seed_of
from s3net_jax.config import Config, ConfigError, nearest, parse_overrides
from s3net_jax.letters import one_line
from s3net_jax.presets import preset

__all__ = ["main"]


class _Terminated(KeyboardInterrupt):
    """SIGTERM, as a scheduler sends it: an end as orderly as after Ctrl-C."""


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns its exit code.

    Without ``argv`` the process is the command's own: it takes the words from ``sys.argv``, and
    keeps the memory it frees for the next image.
    """
    own_process = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # never fail over a terminal's alphabet
    before = signal.signal(signal.SIGTERM, _terminate)
    args = None
    try:
        args = parse(argv)
        args.own_process = own_process
        _set_up_jax(use_cache=not getattr(args, "no_cache", False))
        with _limited(args):
            code = _COMMANDS[args.command](args)
        sys.stdout.flush()
        return code
    except SystemExit as error:  # --help and --version
        return error.code if isinstance(error.code, int) else 0
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say, nor to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt as error:
        again = args is not None and args.command in _GOING_ON and args.overwrite
        return _interrupted(143 if isinstance(error, _Terminated) else 130, again)
    except (UsageError, ConfigError) as error:
        return _complain(error, 2)
    except (ValueError, OSError) as error:
        from s3net_jax.io import InputError, OutputError

        if isinstance(error, OutputError):
            return _complain(error, 2)
        if isinstance(error, InputError):
            return _complain(error, 1)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _limited(args: argparse.Namespace) -> AbstractContextManager[object]:
    """The limits on what files unpack to, as far as ``args`` change them."""
    names = ("max_pixels", "max_bytes", "max_pages")
    given = {n: getattr(args, n) for n in names if getattr(args, n, None) is not None}
    if not given:
        return nullcontext()
    from s3net_jax.io import limits, parse_size

    return limits(**{n: parse_size(v, f"--{n.replace('_', '-')}") for n, v in given.items()})


def _terminate(*_: object) -> None:
    raise _Terminated


def _complain(error: Exception, code: int) -> int:
    several = getattr(error, "reasons", ())
    print(f"s3net: {one_line(str(error.args[0] if several else error))}", file=sys.stderr)
    for reason in several:
        print(f"  {one_line(reason)}", file=sys.stderr)
    return code


def _interrupted(code: int, again: bool) -> int:
    """``again``: the command as given would begin anew."""
    more = " Without --overwrite the command goes on." if again else ""
    print(f"s3net: Interrupted; what was finished is kept.{more}", file=sys.stderr)
    if any(thread.name == WORKER for thread in threading.enumerate()):
        # A compiled program can't be stopped from outside, and waiting for it may take minutes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _config(args: argparse.Namespace) -> Config:
    from s3net_jax.io import parse_window
    from s3net_jax.masks import check_target

    config = preset(args.preset).replace(**parse_overrides(args.sets))
    if args.size is not None:
        config = config.replace(input={"size": args.size})
    if args.target is not None:
        config = config.replace(segment={"target": args.target})
    for option in ("window", "axis", "tile"):
        if getattr(args, option, None) is not None:
            config = config.replace(input={option: getattr(args, option)})
    check_target(config.segment.target)
    parse_window(config.input.window)
    return config


def _segment(args: argparse.Namespace) -> int:
    if not args.inputs:
        raise UsageError("Name at least one image, folder or pattern to segment.")
    if not all(args.inputs):
        raise UsageError("One of the inputs is an empty word: name files, folders or patterns.")
    if not args.out:
        raise UsageError("Say where the results go: --out DIR.")
    return _run(args, args.inputs, args.overwrite)


def _demo(args: argparse.Namespace) -> int:
    from s3net_jax.run.demo import DESCRIPTION, write_demo_picture

    if not args.out:
        raise UsageError("Say where the results go: --out DIR.")
    config, seed = _config(args), seed_of(args.seed)
    path = write_demo_picture(args.out)
    if not (args.quiet or args.json):
        print(f"{path}: {DESCRIPTION}")
    code = _run(args, [str(path)], overwrite=True, config=config, seed=seed)
    if code == 0 and not (args.quiet or args.json):
        overlay = path.with_suffix(".overlay.png")
        print(f"Look at {overlay}: the picture, its clusters, the target's outline.")
    return code


def _run(
    args: argparse.Namespace,
    inputs: list[str],
    overwrite: bool,
    config: Config | None = None,
    seed: int | None = None,
) -> int:
    config = _config(args) if config is None else config
    seed = seed_of(args.seed) if seed is None else seed
    seeds = count_of(getattr(args, "seeds", "1"), "--seeds")
    if seed + seeds > 2**32:
        raise UsageError(f"The last of {seeds} seeds from {seed} on is above {2**32 - 1}.")
    from s3net_jax.report import overlay
    from s3net_jax.run import find_share, segment_inputs

    share = find_share()
    with attended(args, config, seed, seeds) as (engine, display):
        summary = segment_inputs(
            inputs,
            args.out,
            config,
            engine=engine,
            draw=overlay,
            listener=display,
            seed=seed,
            seeds=seeds,
            overwrite=overwrite,
            share=share,
        )
    display.finish(summary)
    return 1 if summary.failed else 0


def _evaluate(args: argparse.Namespace) -> int:
    from pathlib import Path

    if not args.images:
        raise UsageError("Say where the images are: --images DIR.")
    if not args.out:
        raise UsageError("Say where the results go: --out DIR.")
    limit = None if args.limit is None else count_of(args.limit, "--limit")
    config = _config(args).replace(fit={"record_labels": True})  # the report shows the steps
    seed, seeds = seed_of(args.seed), count_of(args.seeds, "--seeds")
    from s3net_jax.evaluate import evaluate, pairs_of, scores_of, table_text
    from s3net_jax.evaluate.report import write_report
    from s3net_jax.io import InputError
    from s3net_jax.report import overlay

    masks = None if args.masks is None else Path(args.masks)
    pairs = pairs_of(args.dataset, Path(args.images), masks, limit)
    with attended(args, config, seed, seeds) as (engine, display):
        found = evaluate(
            pairs,
            args.out,
            config,
            engine=engine,
            draw=overlay,
            listener=display,
            seed=seed,
            seeds=seeds,
            overwrite=args.overwrite,
            against=None if args.against is None else Path(args.against),
        )
    if not found.records:
        display.finish(found.run)
        raise InputError("No image could be segmented, so there is nothing to score.")
    path = write_report(found, pairs, f"{found.method} on {args.images}")
    display.finish(found.run)
    if args.json:
        print(json.dumps({"event": "scores", "report": str(path), **scores_of(found.summary)}))
    elif not args.quiet:
        print(table_text(found.summary))
        print(f"Look at {path}.")
    return 1 if found.run.failed else 0


def _info(args: argparse.Namespace) -> int:
    from s3net_jax.run.info import describe, describe_preset

    text = describe_preset(args.preset, args.json) if args.preset else describe(args.json)
    print(text)
    return 0


def _bench(args: argparse.Namespace) -> int:
    # The benchmarks are not installed: they write their results into the checkout they lie in.
    if os.path.isfile(os.path.join("benchmarks", "suites.py")) and os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        suites = importlib.import_module("benchmarks.suites")
    except ModuleNotFoundError as error:
        if error.name not in ("benchmarks", "benchmarks.suites"):
            raise
        raise UsageError(
            "The benchmarks are not here: run s3net bench in the folder of a checkout of s3net-jax."
        ) from None
    if args.suite is None:
        print(suites.listing())
        return 0
    if args.suite not in suites.SUITES:
        hint = nearest(args.suite, list(suites.SUITES))
        raise UsageError(f"There is no suite {args.suite!r}.{hint}")
    suites.run(args.suite, args.arguments)
    return 0


def _grid(args: argparse.Namespace) -> int:
    from s3net_jax.experiment_commands import run_grid_command

    return run_grid_command(args)


def _tune(args: argparse.Namespace) -> int:
    from s3net_jax.experiment_commands import run_tune_command

    return run_tune_command(args)


_GOING_ON = ("segment", "evaluate")
"""Commands that go on without ``--overwrite`` with what they began with it."""

_COMMANDS = {
    "demo": _demo,
    "segment": _segment,
    "evaluate": _evaluate,
    "ablate": _grid,
    "compare": _grid,
    "tune": _tune,
    "info": _info,
    "bench": _bench,
}


def _set_up_jax(use_cache: bool) -> None:
    """Compiled programs are kept between runs, unless the user said otherwise; logs are quiet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if use_cache and os.environ.get("S3NET_CACHE", "on").lower() not in ("off", "0", "no"):
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.join(base, "s3net-jax"))


if __name__ == "__main__":
    sys.exit(main())
