"""The command ``s3net``: from arguments to exit codes; the work is done elsewhere.

Exit codes: 0 everything done, 1 an input failed or standard output could not be written, 2 the
command can't be carried out as given, 129, 130, 143 ended by SIGHUP, Ctrl-C, SIGTERM, 141 nobody
reads the output. Heavy packages are imported only when a command needs them.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import traceback
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from s3net_jax import jax_setup
from s3net_jax.cli.arguments import parse
from s3net_jax.cli.session import WORKER, attended, count_of, seed_of
from s3net_jax.cli.streams import guard_streams
from s3net_jax.config import Config, parse_overrides
from s3net_jax.errors import ConfigError, UsageError, nearest
from s3net_jax.interruptions import exit_code, heed_signals
from s3net_jax.presets import preset
from s3net_jax.text import json_line, one_line

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    Without ``argv`` the process is the command's own: it takes the words from ``sys.argv``, keeps
    the memory it frees for the next image, and ends at once at a second signal.
    """
    own_process = argv is None
    words = list(sys.argv[1:] if argv is None else argv)
    with guard_streams(own_process) as streams, heed_signals(own_process):
        return streams.code(_run_words(words, own_process))


def _run_words(words: list[str], own_process: bool) -> int:
    """The exit code, whatever happens; the sentence on it has been printed."""
    args = None
    try:
        args = parse(words)
        args.own_process = own_process
        if args.command in _COMPUTING:
            jax_setup.check_limits()
            _set_up_jax(args)
        with _limited(args):
            return _COMMANDS[args.command](args)
    except SystemExit as error:  # --help and --version
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt as error:
        again = args is not None and args.command in _GOING_ON and args.overwrite
        # Ctrl-C in a notebook ends the command, not the notebook; SIGTERM asks for its end.
        return _interrupted(exit_code(error), again, own_process or exit_code(error) != 130)
    except (UsageError, ConfigError) as error:
        return _complain(error, 2)
    except Exception as error:
        return _explain(error)


def _limited(args: argparse.Namespace) -> AbstractContextManager[object]:
    """The limits on what files unpack to, as far as ``args`` change them."""
    names = ("max_pixels", "max_bytes", "max_pages")
    given = {n: getattr(args, n) for n in names if getattr(args, n, None) is not None}
    if not given:
        return nullcontext()
    from s3net_jax.io import limits, parse_size

    return limits(**{n: parse_size(v, f"--{n.replace('_', '-')}") for n, v in given.items()})


def _explain(error: Exception) -> int:
    """The sentence on an error that is not the command line's, and its exit code."""
    if isinstance(error, (ValueError, OSError)):
        from s3net_jax.errors import InputError, OutputError

        if isinstance(error, OutputError):
            return _complain(error, 2)
        if isinstance(error, InputError):
            return _complain(error, 1)
    if os.environ.get("S3NET_DEBUG"):
        traceback.print_exception(error)
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    if jax_setup.out_of_memory(error):
        what = f" ({first})" if first else ""
        return _complain(MemoryError(f"There is not enough memory{what}."), 1)
    if isinstance(error, OSError) and error.filename is not None:
        reason = (error.strerror or type(error).__name__).lower()
        return _complain(OSError(f"{os.fsdecode(error.filename)} can't be used: {reason}."), 1)
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name} line {where.lineno}"
    text = f"The command failed for a reason that it does not know ({type(error).__name__}: "
    text += f"{first}, in {place}). S3NET_DEBUG=1 shows where."
    return _complain(RuntimeError(text), 1)


def _complain(error: Exception, code: int) -> int:
    several = getattr(error, "reasons", ())
    print(f"s3net: {one_line(str(error.args[0] if several else error))}", file=sys.stderr)
    for reason in several:
        print(f"  {one_line(reason)}", file=sys.stderr)
    return code


def _interrupted(code: int, again: bool, may_exit: bool) -> int:
    """``again``: the command as given would start from scratch. ``may_exit``: the process, too."""
    more = " Without --overwrite the command goes on." if again else ""
    print(f"s3net: Interrupted; what was finished is kept.{more}", file=sys.stderr)
    if may_exit and any(thread.name == WORKER for thread in threading.enumerate()):
        # A compiled program can't be stopped from outside, and waiting for it may take minutes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _config(args: argparse.Namespace) -> Config:
    config = preset(args.preset).replace(**parse_overrides(args.sets))
    if args.size is not None:
        config = config.replace(input={"size": args.size})
    if args.target is not None:
        config = config.replace(segment={"target": args.target})
    for option in ("window", "axis", "tile"):
        if getattr(args, option, None) is not None:
            config = config.replace(input={option: getattr(args, option)})
    jax_setup.load_jax("s3net_jax.run", "s3net_jax.fitting")
    from s3net_jax.io import parse_window
    from s3net_jax.masks import check_target

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
    from s3net_jax.cli.demo import DESCRIPTION, write_demo_picture

    if not args.out:
        raise UsageError("Say where the results go: --out DIR.")
    config, seed = _config(args), seed_of(args.seed)
    path = write_demo_picture(args.out)
    if not (args.quiet or args.json):
        print(f"{one_line(str(path))}: {DESCRIPTION}")
    code = _run(args, [str(path)], overwrite=True, config=config, seed=seed)
    if code == 0 and not (args.quiet or args.json):
        overlay = path.with_suffix(".overlay.png")
        print(f"Look at {one_line(str(overlay))}: the picture, its clusters, the target's outline.")
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
    if not args.images:
        raise UsageError("Say where the images are: --images DIR.")
    if not args.out:
        raise UsageError("Say where the results go: --out DIR.")
    limit = None if args.limit is None else count_of(args.limit, "--limit")
    config = _config(args).replace(fit={"record_labels": True})  # the report shows the steps
    seed, seeds = seed_of(args.seed), count_of(args.seeds, "--seeds")
    from s3net_jax.errors import InputError
    from s3net_jax.evaluate import evaluate, pairs_of, scores_of, table_text
    from s3net_jax.evaluate.report import write_report
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
        print(json_line({"event": "scores", "report": str(path), **scores_of(found.summary)}))
    elif not args.quiet:
        print(table_text(found.summary))
        print(f"Look at {one_line(str(path))}.")
    return 1 if found.run.failed else 0


def _info(args: argparse.Namespace) -> int:
    jax_setup.load_jax()
    from s3net_jax.cli.info import describe, describe_preset

    text = describe_preset(args.preset, args.json) if args.preset else describe(args.json)
    print(text)
    return 0


def _bench(args: argparse.Namespace) -> int:
    # The benchmarks are not installed: they write their results into the checkout they lie in.
    if (
        os.path.isfile(os.path.join("benchmarks", "suites", "__init__.py"))
        and os.getcwd() not in sys.path
    ):
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
    from s3net_jax.cli.experiments import run_grid_command

    return run_grid_command(args)


def _tune(args: argparse.Namespace) -> int:
    from s3net_jax.cli.experiments import run_tune_command

    return run_tune_command(args)


def _check(args: argparse.Namespace) -> int:
    from s3net_jax.cli.check import run_check_command

    return run_check_command(args)


_GOING_ON = ("segment", "evaluate")
"""Commands that go on without ``--overwrite`` with what they began with it."""

_COMPUTING = ("demo", "segment", "evaluate", "ablate", "compare", "tune", "info", "bench")
"""Commands that need JAX."""

_COMMANDS = {
    "demo": _demo,
    "segment": _segment,
    "evaluate": _evaluate,
    "ablate": _grid,
    "compare": _grid,
    "tune": _tune,
    "check": _check,
    "info": _info,
    "bench": _bench,
}


def _set_up_jax(args: argparse.Namespace) -> None:
    """Compiled programs are kept between runs, unless the user said otherwise; logs are quiet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    kept = os.environ.get("S3NET_CACHE", "on").lower() not in ("off", "0", "no")
    if kept and not getattr(args, "no_cache", False):
        problem = jax_setup.choose_cache()
        if problem and not (getattr(args, "json", False) or getattr(args, "quiet", False)):
            print(f"note: {problem}", file=sys.stderr)
