"""Define and parse the arguments of ``s3net``; each mistake is reported in one sentence."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from s3net_jax.cli.completion import SHELLS, PrintCompletion
from s3net_jax.cli.options import (
    add_experiment,
    add_image_options,
    add_limits,
    add_load,
    add_many,
    add_measures,
    add_model,
    add_out,
    add_report,
    add_retarget,
    add_slices,
    make_output,
    make_settings,
)
from s3net_jax.errors import UsageError, suggest_nearest

__all__ = ["ENGINES", "UsageError", "parse"]

_EXAMPLES = """\
examples:
  s3net demo                                     a real picture without a download, into out/
  s3net segment photo.jpg scans/ --out results   files, folders and patterns
  s3net segment 'ct/*.png' --out lungs --preset paper-lung --target dark
  s3net segment chest.nii.gz series/ --out ct --window lung     volumes, slice by slice
  s3net segment skin/ --out agreed --seeds 5     consensus and agreement of five fits
  s3net segment slides/*.tif --out cells --instances --export geojson     a row for each part
  s3net segment a.png --out try --set fit.steps=20 --set loss.weight_spatial=1
  s3net segment photos/ --preset deepcluster --out x        one network for all images, x/model.npz
  s3net evaluate --images x/images --masks x/masks --out scores      scores and a report
  s3net ablate experiments/table2.toml --out ablation --data ph2=skin/       Table 2 of the paper
  s3net retarget results --target bright         another target, without a new fit
  s3net review results --open                    look at all results, pick other clusters
  s3net check results                            verify that every result is intact
  s3net info --preset paper                      every field that --set can change
"""
ENGINES = ["local", "processes", "ray"]
"""Engines that compute fits; see ``s3net_jax.run.engines.base``."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = message[:1].upper() + message[1:]
        raise UsageError(f"{message.rstrip('.')}. See {self.prog} --help.")


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse command-line arguments into a namespace that includes ``command``.

    Args:
      argv: arguments without the program name; an empty list means ``--help``.

    Raises:
      UsageError: an argument is wrong or missing.
      SystemExit: after ``--help``, ``--version``, ``--print-completion`` or the command ``help``
        has printed its text.
    """
    parser, commands = _make_parser()
    if not argv:
        argv = ["--help"]
    if argv[0] == "help" and len(argv) < 3 and argv[1:] not in (["-h"], ["--help"]):
        # Parse it as "s3net NAME --help", so that a wrong name gets the same error.
        argv = [*argv[1:], "--help"]
    if argv[0].startswith("-"):
        _check_first_option(argv[0], parser, commands)
    elif argv[0] not in commands:
        raise UsageError(
            f"There is no command {argv[0]!r}.{suggest_nearest(argv[0], list(commands))}"
        )
    args, unknown = parser.parse_known_args(_join_window(argv))  # --help and --version end here
    if unknown:
        raise UsageError(_explain_unknown(args.command, commands[args.command], unknown[0]))
    if args.command == "help":
        raise UsageError("help takes one command: s3net help COMMAND.")
    return args


def _check_first_option(
    word: str, parser: argparse.ArgumentParser, commands: dict[str, argparse.ArgumentParser]
) -> None:
    """Raise :class:`UsageError` if an option before the command does not belong there."""
    name = word.partition("=")[0]
    known = list(parser._option_string_actions)
    if name in known:
        return
    if any(name in command._option_string_actions for command in commands.values()):
        raise UsageError(f"{name} belongs after the command: s3net COMMAND {name} ….")
    raise UsageError(f"There is no option {name}.{suggest_nearest(name, known)}")


def _explain_unknown(name: str, command: argparse.ArgumentParser, word: str) -> str:
    """Explain why the command ``name`` does not accept the argument ``word``."""
    if not word.startswith("-"):
        return f"{name} takes no further argument {word!r}."
    option = word.partition("=")[0]
    if option in ("--version", "--print-completion"):
        return f"{option} belongs before any command: s3net {option}."
    options = [known for known in command._option_string_actions if known != "-h"]
    return f"There is no option {option}.{suggest_nearest(option, options)}"


def _join_window(argv: list[str]) -> list[str]:
    """Join ``--window -300,-100`` with ``=``, since argparse would read -300 as an option."""
    joined: list[str] = []
    for word in argv:
        if joined and joined[-1] == "--window" and re.match(r"-[\d.]", word):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _make_parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = _Parser(
        prog="s3net",
        description="Segment images without labels, by fitting S3-Net to each one.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.add_argument(
        "--print-completion",
        action=PrintCompletion,
        metavar="SHELL",
        help=f"print the completion script for a shell ({', '.join(SHELLS)}) and exit",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    def add(name: str, text: str, **more: Any) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=text,
            description=f"{text[:1].upper()}{text[1:]}.",
            allow_abbrev=False,
            **more,
        )

    demo = add("demo", "segment a sample picture, without a download", parents=[make_settings()])
    add_out(demo, "out")
    add_report(demo)
    segment = add("segment", "segment images and volumes", parents=[make_settings()])
    segment.description = (
        "Segment images and volumes. Masks of pictures with a low expected DSC are marked to be "
        "checked by a person (preset best)."
    )
    segment.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="image or volume file (PNG, JPEG, BMP, TIFF, NIfTI, DICOM), folder or pattern",
    )
    add_out(segment)
    segment.add_argument(
        "--recursive",
        action="store_true",
        help="also search sub-folders; results are named SUBFOLDER-NAME",
    )
    segment.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing results (to resume an interrupted run, omit this option)",
    )
    add_model(segment)
    add_report(segment)
    add_slices(segment)
    add_image_options(segment)
    add_measures(segment)
    add_limits(segment)
    add_many(segment)
    retarget = add(
        "retarget",
        "choose or correct the targets of finished results, without new fits",
        epilog="exit codes: 0 all results were changed or needed no change, 1 some could not be "
        "changed or a file of targets or marks is wrong, 2 DIR or an option is wrong",
    )
    add_retarget(retarget)
    evaluate = add(
        "evaluate",
        "segment images with ground truth and score the results",
        parents=[make_settings()],
    )
    group = evaluate.add_argument_group("data")
    group.add_argument("--images", metavar="DIR", help="folder of images, or an unpacked data set")
    group.add_argument(
        "--masks",
        metavar="DIR",
        help="folder of ground-truth masks, named like the images, optionally with the ending "
        "_mask; white, or labels above 0, mark the target (docs/evaluation.md)",
    )
    group.add_argument(
        "--dataset",
        metavar="NAME",
        default="folder",
        help="layout of the data: folder (default), or ph2, lung-ct, isic, bsds500 as distributed",
    )
    group.add_argument("--limit", metavar="N", help="use only the first N images")
    add_out(evaluate)
    evaluate.add_argument(
        "--against",
        metavar="DIR",
        help="folder of an earlier evaluation to compare with, image by image",
    )
    evaluate.add_argument("--overwrite", action="store_true", help="replace existing results")
    add_model(evaluate)
    add_image_options(evaluate)
    add_limits(evaluate)
    add_many(evaluate)
    experiments = {
        name: add_experiment(
            add(name, text, parents=[make_output(live=name != "tune")]), name == "tune"
        )
        for name, text in (
            ("ablate", "evaluate variants of one configuration, from an experiment file"),
            ("compare", "evaluate methods and baselines on data sets, from an experiment file"),
            ("tune", "search loss weights, learning rate and number of steps on a few images"),
        )
    }
    review = add(
        "review",
        "rebuild report.html, the page on which to review results and pick other clusters",
    )
    review.add_argument("folder", nargs="?", metavar="DIR", help="output folder of s3net segment")
    review.add_argument("--open", action="store_true", help="open the page in a browser")
    review.add_argument("--quiet", action="store_true", help="print only failures")
    review.add_argument("--json", action="store_true", help="print one JSON object")
    check = add(
        "check",
        "check that every result in an output folder is intact",
        epilog="exit codes: 0 all results are intact, 1 some are missing or damaged, 2 DIR is not "
        "an output folder; to repair results, repeat the command that wrote them, without "
        "--overwrite",
    )
    check.add_argument(
        "folder", nargs="?", metavar="DIR", help="output folder of a run, evaluation or experiment"
    )
    check.add_argument("--quiet", action="store_true", help="print only missing and damaged files")
    check.add_argument("--json", action="store_true", help="print one JSON object per line")
    info = add("info", "print versions, devices, implementations, methods and presets")
    info.add_argument(
        "--preset", metavar="NAME", help="print every field that this preset's method reads instead"
    )
    add_load(info)
    info.add_argument("--json", action="store_true", help="print JSON")
    bench = add("bench", "run a benchmark suite, in a checkout of the repository")
    bench.add_argument(
        "suite", nargs="?", metavar="SUITE", help="suite to run (default: list all suites)"
    )
    bench.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="options of the suite, which s3net bench SUITE --help lists",
    )
    # Some suites measure compile times.
    bench.set_defaults(no_cache=True)
    helping = add("help", "print the options of a command, like s3net COMMAND --help")
    helping.add_argument(
        "topic", nargs="?", metavar="COMMAND", help="command to describe (default: list all)"
    )
    return parser, {
        "demo": demo,
        "segment": segment,
        "retarget": retarget,
        "evaluate": evaluate,
        **experiments,
        "review": review,
        "check": check,
        "info": info,
        "bench": bench,
        "help": helping,
    }


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from s3net_jax import __version__

        print(f"s3net-jax {__version__}")
        parser.exit()
