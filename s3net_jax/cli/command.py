"""Dispatch the commands of ``s3net`` and map every outcome to an exit code.

Exit codes: 0 success; 1 an input failed or standard output could not be written; 2 the command
cannot be carried out as given; 129, 130, 143 ended by SIGHUP, Ctrl-C, SIGTERM; 141 standard output
was closed early. Heavy packages are imported only when a command needs them.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading
import traceback
from contextlib import AbstractContextManager, nullcontext

from s3net_jax import jax_setup
from s3net_jax.cli.arguments import parse
from s3net_jax.cli.loading import load_modules
from s3net_jax.cli.streams import guard_streams
from s3net_jax.errors import (
    ConfigError,
    InputError,
    OutputError,
    UsageError,
    describe_unexpected,
    get_reason,
)
from s3net_jax.interruptions import get_exit_code, heed_signals
from s3net_jax.parallel import WORKER
from s3net_jax.text import escape_unseen

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
      argv: arguments without the program name. None means that the process belongs to the command:
        arguments come from ``sys.argv``, freed memory is kept for the next image, and a second
        signal ends the process at once.
    """
    own_process = argv is None
    words = list(sys.argv[1:] if argv is None else argv)
    with guard_streams(own_process) as streams, heed_signals(own_process):
        return streams.choose_code(_run_words(words, own_process))


def _run_words(words: list[str], own_process: bool) -> int:
    """Run a command and return its exit code; print one sentence for any error."""
    args = None
    try:
        args = parse(words)
        args.own_process, args.words = own_process, words
        if args.command in _COMPUTING:
            jax_setup.check_limits()
            _set_up_jax(args)
        load_modules(getattr(args, "load", ()))
        with _set_limits(args):
            return _run_command(args)
    except SystemExit as error:  # --help, --version and --print-completion
        return error.code if isinstance(error.code, int) else 0
    except KeyboardInterrupt as error:
        restarts = args is not None and args.command in _RESUMABLE and args.overwrite
        # Ctrl-C in a notebook ends the command but not the kernel; SIGTERM ends both.
        return _report_interruption(
            get_exit_code(error), restarts, own_process or get_exit_code(error) != 130
        )
    except (UsageError, ConfigError) as error:
        return _complain(error, 2)
    except Exception as error:
        return _report_error(error)


def _set_limits(args: argparse.Namespace) -> AbstractContextManager[object]:
    """Set the reading limits that ``args`` specify; the others keep their defaults."""
    names = ("max_pixels", "max_bytes", "max_pages")
    given = {n: getattr(args, n) for n in names if getattr(args, n, None) is not None}
    if not given:
        return nullcontext()
    from s3net_jax.io import limits, parse_size

    return limits(**{n: parse_size(v, f"--{n.replace('_', '-')}") for n, v in given.items()})


def _report_error(error: Exception) -> int:
    """Print one sentence for an error that occurred while running; return the exit code."""
    if isinstance(error, OutputError):
        return _complain(error, 2)
    if isinstance(error, InputError):
        return _complain(error, 1)
    if os.environ.get("S3NET_DEBUG"):
        traceback.print_exception(error)
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    if jax_setup.is_out_of_memory(error):
        what = f" ({first})" if first else ""
        return _complain(MemoryError(f"Out of memory{what}."), 1)
    if isinstance(error, OSError) and error.filename is not None:
        path = os.fsdecode(error.filename)
        return _complain(OSError(f"{path} can't be used: {get_reason(error)}."), 1)
    return _complain(RuntimeError(f"The command {describe_unexpected(error)}"), 1)


def _complain(error: Exception, code: int) -> int:
    several = getattr(error, "reasons", ())
    print(f"s3net: {escape_unseen(str(error.args[0] if several else error))}", file=sys.stderr)
    for reason in several:
        print(f"  {escape_unseen(reason)}", file=sys.stderr)
    return code


def _report_interruption(code: int, restarts: bool, may_exit: bool) -> int:
    """Report an interruption and return ``code``.

    Args:
      code: exit code.
      restarts: whether repeating the command as given would start from scratch.
      may_exit: whether the process may be ended here.
    """
    more = " To resume, repeat the command without --overwrite." if restarts else ""
    print(f"s3net: Interrupted; finished results are kept.{more}", file=sys.stderr)
    if may_exit and any(thread.name == WORKER for thread in threading.enumerate()):
        # A running compiled program cannot be stopped, and waiting for it may take minutes.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


_RESUMABLE = ("segment", "evaluate")
"""Commands that resume an interrupted run when repeated without ``--overwrite``."""

_COMPUTING = ("demo", "segment", "evaluate", "ablate", "compare", "tune", "info", "bench")
"""Commands that need JAX."""

_COMMANDS = {
    "demo": "demo:run_demo",
    "segment": "segment:run_segment",
    "retarget": "retarget:run_retarget",
    "evaluate": "evaluate:run_evaluate",
    "ablate": "experiments:run_grid_file",
    "compare": "experiments:run_grid_file",
    "tune": "experiments:run_tuning_file",
    "review": "review:run_review",
    "check": "check:run_check",
    "info": "info:run_info",
    "bench": "bench:run_bench",
}
"""Command → module in this package and function, which maps arguments to an exit code."""


def _run_command(args: argparse.Namespace) -> int:
    module, _, function = _COMMANDS[args.command].partition(":")
    return getattr(importlib.import_module(f"s3net_jax.cli.{module}"), function)(args)


def _set_up_jax(args: argparse.Namespace) -> None:
    """Choose the cache of compiled programs, unless it is disabled, and quieten logs."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if not getattr(args, "no_cache", False):
        problem = jax_setup.choose_cache()
        if problem and not (getattr(args, "json", False) or getattr(args, "quiet", False)):
            print(f"note: {problem}", file=sys.stderr)
