"""Measure speed and memory against peers, all in one run: machines are noisy, ratios less so."""

import argparse
import importlib
import json
from dataclasses import asdict

from convnextv2.engine.cli import add_debug, make_parser, run, whole
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_file
from convnextv2.tools.analysis_tools.benchmarks import (
    exported,
    loader,
    roofline,
    tiles,
    whole_models,
)
from convnextv2.tools.analysis_tools.benchmarks.measuring import machine, measure, show

# Name of the command and of benchmarks/NAME.py: what it compares, batch, height and width.
COMMANDS = {
    "backbone": ("the backbone against other implementations of the network", 2, (384, 384)),
    "classifier": ("the classifier against other implementations", 8, (224, 224)),
    "fcmae": ("a pre-training step with each of the encoders", 16, (224, 224)),
}
OTHERS = {
    "loader": loader,
    "exported": exported,
    "tiles": tiles,
    "roofline": roofline,
    "detector": whole_models,
    "segmentor": whole_models,
}


def main() -> None:
    """Command line entry."""
    parser = make_parser(
        __doc__,
        "python tools/analysis_tools/benchmark.py backbone --arch tiny --json backbone.json",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (help_text, batch, shape) in COMMANDS.items():
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--arch", nargs="+", default=["tiny"], help="some of atto ... huge")
        command.add_argument("--batch", type=whole(1), default=batch)
        command.add_argument("--shape", nargs=2, type=whole(1), default=shape, metavar=("H", "W"))
        command.add_argument(
            "--repeats", type=whole(1), default=7, help="rounds; the median counts"
        )
        command.add_argument("--only", nargs="+", help="names, or beginnings of names, to measure")
        command.add_argument("--json", metavar="FILE", help="also write the figures there")
        add_debug(command)
    command = commands.add_parser("loader", help="images read and augmented, by core and stage")
    loader.add_arguments(command)
    add_debug(command)
    command = commands.add_parser("exported", help="an exported model against its torch model")
    exported.add_arguments(command)
    add_debug(command)
    command = commands.add_parser("tiles", help="memory, seconds and AP of inference by tiles")
    tiles.add_arguments(command)
    add_debug(command)
    command = commands.add_parser("roofline", help="bytes, operations and launches, counted")
    roofline.add_arguments(command)
    add_debug(command)
    for kind, library in (("detector", "mmdet"), ("segmentor", "mmseg")):
        text = f"a whole model of {library} with different backbones, and its parts"
        command = commands.add_parser(kind, help=text)
        whole_models.add_arguments(command, kind)
        add_debug(command)
    args = parser.parse_args()
    if getattr(args, "json", None):
        check_file(args.json, "--json")
    if args.command in OTHERS:
        OTHERS[args.command].run(args, machine())
    else:
        compare_networks(args)


def compare_networks(args: argparse.Namespace) -> None:
    """Measure the contestants of `backbone` or `fcmae` for each arch, and show a table of each."""
    from rich.console import Console

    from convnextv2.backbone import ARCHS

    contest = importlib.import_module(f"convnextv2.tools.analysis_tools.benchmarks.{args.command}")
    if unknown := [arch for arch in args.arch if arch not in ARCHS]:
        raise InputError(f"unknown arch {unknown[0]!r}; choose some of {', '.join(ARCHS)}")
    console = Console()
    tables = []
    for arch in args.arch:
        contestants, notes = contest.make_contestants(arch, args.batch, tuple(args.shape))
        if args.only:
            wanted = (contest.REFERENCE, *args.only)
            contestants = [c for c in contestants if c.name.startswith(wanted)]
        for note in notes:
            console.print(note, highlight=False)
        with console.status("") as status:
            figures = measure(contestants, args.repeats, status.update)
        size = " x ".join(map(str, (args.batch, 3, *args.shape)))
        title = f"{args.command}, {arch}, {size}, {machine()}"
        show(console, title, figures, contest.REFERENCE)
        rows = [asdict(f) for f in figures]
        tables.append({"title": title, "reference": contest.REFERENCE, "figures": rows})
    if args.json:
        with open(args.json, "w") as file:
            json.dump(tables, file, indent=2)


if __name__ == "__main__":
    run(main)
