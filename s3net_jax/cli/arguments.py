"""What the command ``s3net`` can be told; every mistake gets one sentence."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from s3net_jax.cli.completion import SHELLS, PrintCompletion
from s3net_jax.errors import UsageError, suggest_nearest
from s3net_jax.presets import DEFAULT_PRESET, PRESETS

__all__ = ["ENGINES", "UsageError", "parse"]

_EXAMPLES = """\
examples:
  s3net demo                                     a real picture, no download, result in out/
  s3net segment photo.jpg scans/ --out results   files, folders and patterns
  s3net segment 'ct/*.png' --out lungs --preset paper-lung --target dark
  s3net segment chest.nii.gz series/ --out ct --window lung     volumes, slice by slice
  s3net segment skin/ --out agreed --seeds 5     the consensus of five fits, and where they agree
  s3net segment a.png --out try --set fit.steps=20 --set loss.weight_spatial=1
  s3net evaluate --images x/images --masks x/masks --out scores      every protocol, a report
  s3net ablate experiments/table2.toml --out ablation --data ph2=skin/       Table 2 of the paper
  s3net check results                            every result is there, as it was written
  s3net info --preset paper                      every field that --set can change
"""
ENGINES = ["local", "processes", "ray"]
"""Who does the fits: see ``s3net_jax.run.engines.base``."""
_TARGETS = "auto, dark, bright, center, point:X,Y (pixels from the left and top) or all"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        message = message[:1].upper() + message[1:]
        raise UsageError(f"{message.rstrip('.')}. See {self.prog} --help.")


def parse(argv: list[str]) -> argparse.Namespace:
    """Parse arguments into names, ``command`` among them; raises :class:`UsageError`.

    ``--help``, ``--version`` and ``--print-completion`` print and raise SystemExit, and so does
    the command ``help``.
    """
    parser, commands = _make_parser()
    if not argv:
        argv = ["--help"]
    if argv[0] == "help" and len(argv) < 3 and argv[1:] not in (["-h"], ["--help"]):
        # As "s3net NAME --help", so that a wrong name gets the same sentence.
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
    """Explain in a sentence that the command ``name`` does not take ``word``."""
    if not word.startswith("-"):
        return f"{name} takes no further argument {word!r}."
    option = word.partition("=")[0]
    if option in ("--version", "--print-completion"):
        return f"{option} belongs before any command: s3net {option}."
    options = [known for known in command._option_string_actions if known != "-h"]
    return f"There is no option {option}.{suggest_nearest(option, options)}"


def _join_window(argv: list[str]) -> list[str]:
    """Join ``--window -300,-100`` to one word: argparse takes the number for an option."""
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

    demo = add("demo", "segment a real picture that needs no download", parents=[_make_settings()])
    _add_out(demo, "out")
    segment = add("segment", "segment images and volumes", parents=[_make_settings()])
    segment.add_argument(
        "inputs",
        nargs="*",
        metavar="INPUT",
        help="files (PNG, JPEG, BMP, TIFF, NIfTI, DICOM), folders of them, or patterns",
    )
    _add_out(segment)
    segment.add_argument(
        "--recursive",
        action="store_true",
        help="search the sub-folders of folders too; results are named SUBFOLDER-NAME",
    )
    segment.add_argument(
        "--overwrite",
        action="store_true",
        help="replace existing results; to resume an interrupted run, leave it out",
    )
    _add_image_options(segment)
    _add_limits(segment)
    _add_many(segment)
    evaluate = add(
        "evaluate",
        "segment images with ground truth, and score the results",
        parents=[_make_settings()],
    )
    group = evaluate.add_argument_group("data")
    group.add_argument("--images", metavar="DIR", help="images, or a data set as it is unpacked")
    group.add_argument(
        "--masks",
        metavar="DIR",
        help="ground truth of equal names, with _mask behind or not: white, or labels above 0, is "
        "the target (docs/evaluation.md); all are checked before the first fit",
    )
    group.add_argument(
        "--dataset",
        metavar="NAME",
        default="folder",
        help="folder (default), ph2, lung-ct, isic or bsds500: the layout in which it is "
        "distributed",
    )
    group.add_argument("--limit", metavar="N", help="the first N images alone")
    _add_out(evaluate)
    evaluate.add_argument(
        "--against",
        metavar="DIR",
        help="an earlier evaluation, compared with this one image by image",
    )
    evaluate.add_argument(
        "--overwrite", action="store_true", help="replace results that are there already"
    )
    _add_image_options(evaluate)
    _add_limits(evaluate)
    _add_many(evaluate)
    experiments = {
        name: _add_experiment(
            add(name, text, parents=[_make_output(live=name != "tune")]), name == "tune"
        )
        for name, text in (
            ("ablate", "evaluate variants of one configuration, from an experiment file"),
            ("compare", "evaluate methods and baselines on data sets, from an experiment file"),
            ("tune", "search loss weights, learning rate and steps on a few images"),
        )
    }
    check = add(
        "check",
        "check that every result in an output folder is there and as it was written",
        epilog="exit codes: 0 all are whole, 1 some are missing or damaged, 2 DIR is no output "
        "folder; to repair, repeat the command that wrote the folder, without --overwrite",
    )
    check.add_argument(
        "folder", nargs="?", metavar="DIR", help="output folder of a run, evaluation or experiment"
    )
    check.add_argument("--quiet", action="store_true", help="print missing and damaged files only")
    check.add_argument("--json", action="store_true", help="print one JSON object a line")
    info = add("info", "versions, devices, implementations and presets")
    info.add_argument("--preset", metavar="NAME", help="show every field of a preset instead")
    info.add_argument("--json", action="store_true", help="print JSON")
    bench = add("bench", "run a suite of benchmarks, inside a checkout of the repository")
    bench.add_argument("suite", nargs="?", metavar="SUITE", help="without one: what there is")
    bench.add_argument(
        "arguments",
        nargs=argparse.REMAINDER,
        metavar="...",
        help="options of the suite; s3net bench SUITE --help lists them",
    )
    # Compile times are among what is measured.
    bench.set_defaults(no_cache=True)
    helping = add("help", "print the options of a command, like s3net COMMAND --help")
    helping.add_argument("topic", nargs="?", metavar="COMMAND", help="without one: all commands")
    return parser, {
        "demo": demo,
        "segment": segment,
        "evaluate": evaluate,
        **experiments,
        "check": check,
        "info": info,
        "bench": bench,
        "help": helping,
    }


def _add_out(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    text = "output folder, created if needed"
    text += f" (default: {default})" if default else ""
    parser.add_argument("-o", "--out", metavar="DIR", default=default, help=text)


def _add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the options on what is read."""
    group = parser.add_argument_group("images")
    group.add_argument(
        "--window",
        metavar="NAME",
        help="values shown as black and white: auto, lung, soft, bone (CT), or LOW,HIGH",
    )
    group.add_argument(
        "--axis", metavar="NAME", help="slices of a volume: auto, axial, coronal or sagittal"
    )
    group.add_argument(
        "--tile", metavar="N", help="cut larger images into tiles of N pixels that overlap"
    )


def _add_limits(parser: argparse.ArgumentParser) -> None:
    """Add the options on what a file may unpack to."""
    group = parser.add_argument_group("limits on one file (docs/safety.md); K, M and G multiply")
    group.add_argument(
        "--max-pixels",
        metavar="N",
        help="pixels of an image, slice or page (default: 100M); a volume may have 5 times as many",
    )
    group.add_argument(
        "--max-bytes",
        metavar="N",
        help="bytes that decoding a file may take (default: 256 MiB, or 100 times its size)",
    )
    group.add_argument("--max-pages", metavar="N", help="pages or frames of a file (default: 4000)")


def _add_experiment(parser: argparse.ArgumentParser, is_search: bool) -> argparse.ArgumentParser:
    """Add the options of an experiment; a search does not use the engines."""
    parser.add_argument(
        "file", nargs="?", metavar="FILE", help="the experiment, as experiments/*.toml"
    )
    _add_out(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace results that are there already"
    )
    group = parser.add_argument_group("in place of what the file says")
    group.add_argument(
        "--data",
        metavar="NAME=FOLDER",
        action="append",
        default=[],
        help="where a data set of the file lies (images/ and masks/, or as distributed); "
        "may be repeated",
    )
    group.add_argument("--limit", metavar="N", help="the first N images of each data set alone")
    group.add_argument("--seed", metavar="N", help="first random seed")
    group.add_argument(
        "--seeds",
        metavar="N",
        help="fits of each image; their "
        + ("figures are averaged" if is_search else "consensus is evaluated"),
    )
    _add_sets(group, "a field of every configuration")
    _add_limits(parser)
    group = parser.add_argument_group("many at once")
    _add_batch(group)
    if not is_search:
        _add_engine(group)
    return parser


def _add_many(parser: argparse.ArgumentParser) -> None:
    """Add the options on how many are fitted, and where."""
    group = parser.add_argument_group("many at once")
    group.add_argument(
        "--seeds",
        metavar="N",
        default="1",
        help="fit each image N times, with seeds from --seed on, and take the consensus",
    )
    _add_batch(group)
    _add_engine(group)


def _add_sets(group: argparse._ArgumentGroup, what: str) -> None:
    group.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        dest="sets",
        help=f"{what}, as fit.steps=20; may be repeated",
    )


def _add_batch(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--batch",
        metavar="N",
        default="auto",
        help="fits at once; auto (default): as many as help and as the memory holds",
    )


def _add_engine(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--engine",
        metavar="NAME",
        default="local",
        help="local (default); processes: on a CPU a fit on each core, for many images; "
        "or ray: a cluster",
    )
    group.add_argument(
        "--workers",
        metavar="N",
        help="of the engine processes (default: one a core, as the memory holds)",
    )
    group.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of the cluster's head; default: $RAY_ADDRESS, or a cluster on this machine",
    )


def _make_settings() -> argparse.ArgumentParser:
    """Make the options that ``demo``, ``segment`` and ``evaluate`` share."""
    shared = argparse.ArgumentParser(add_help=False, parents=[_make_output()])
    group = shared.add_argument_group("configuration")
    group.add_argument(
        "--preset",
        metavar="NAME",
        default=DEFAULT_PRESET,
        help=f"{', '.join(PRESETS)} (default: {DEFAULT_PRESET})",
    )
    _add_sets(group, "change a field of the preset")
    group.add_argument("--size", metavar="N", help="side of the network's input in pixels")
    group.add_argument("--target", metavar="RULE", help=f"what the mask shows: {_TARGETS}")
    group.add_argument("--seed", metavar="N", default="0", help="random seed (default: 0)")
    return shared


def _make_output(live: bool = True) -> argparse.ArgumentParser:
    """Make the options on what is printed; ``live``: a terminal shows more than plain lines."""
    shared = argparse.ArgumentParser(add_help=False)
    group = shared.add_argument_group("output")
    group.add_argument("--quiet", action="store_true", help="print failures only")
    group.add_argument("--json", action="store_true", help="print one JSON object a line")
    if live:
        group.add_argument(
            "--plain", action="store_true", help="print plain lines on a terminal too"
        )
    group.add_argument("--no-cache", action="store_true", help="don't keep compiled programs")
    return shared


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from s3net_jax import __version__

        print(f"s3net-jax {__version__}")
        parser.exit()
