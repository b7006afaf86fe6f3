"""The command line that MM's users know, and how every command ends.

Nothing heavy is imported at the top, so that `--help` answers at once; mim asks for it first.
"""

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Callable

from convnextv2.engine.errors import describe, is_expected


def run(main: Callable[[], None]) -> None:
    """Run a command and end the process: an error becomes a sentence and an exit status.

    The status is 1 after an error, 2 after a wrong command line, 130 after an interrupt. A
    traceback is shown with `--debug` alone; one that nobody expected also goes into the log file,
    where a run has one.
    """
    try:
        main()
        sys.stdout.flush()
    except KeyboardInterrupt:
        _show_traceback()
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        # Who read the output has gone; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except SystemExit as error:
        if isinstance(error.code, str):
            _end(error)
        raise
    except Exception as error:
        _end(error)
    sys.exit(0)


def make_parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser with what all commands have."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_debug(parser)
    return parser


def make_config_parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser with what all commands have that read a config."""
    parser = make_parser(description, example)
    parser.add_argument("config", help="path of the config")
    add_cfg_options(parser)
    return parser


def make_runner_parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser with the arguments that MM's training and test commands have in common."""
    parser = make_config_parser(description, example)
    parser.add_argument("--work-dir", help="default: work_dirs/NAME_OF_THE_CONFIG")
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    # torch.distributed.launch, which mim uses, passes the second spelling.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add what overrides a config; see `convnextv2.engine.overrides`."""
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action="extend",
        metavar="KEY=VALUE",
        help="override config entries, such as model.backbone.arch=base or a=[(1,2),(3,4)]; a KEY "
        "that neither the config has nor the class at its place takes is an error, "
        "unless written +KEY=VALUE",
    )


def add_show_bands(parser: argparse.ArgumentParser) -> None:
    """Add what is shown of images of many bands, ``show_bands``: a tuple of numbers, or None."""
    parser.add_argument(
        "--show-bands",
        type=_bands,
        metavar="R,G,B",
        help="bands to draw as red, green and blue, counted from 1, such as 4,3,2, or one as grey; "
        "default: the first three",
    )


def add_looking(parser: argparse.ArgumentParser) -> None:
    """Add how a network that is not trained looks at images."""
    parser.add_argument(
        "--size",
        type=whole(32),
        default=224,
        help="of the square that is looked at; the shorter side becomes as long (default 224)",
    )
    parser.add_argument("--batch-size", type=whole(1), default=64, help="images at once")
    parser.add_argument("--workers", type=whole(0), default=0, help="processes that read images")
    parser.add_argument("--device", help="such as cpu or cuda:1; default: the GPU, if there is one")
    parser.add_argument(
        "--prefix", help="where in the checkpoint the backbone lies, e.g. ema_state_dict"
    )


def add_tile(parser: argparse.ArgumentParser) -> None:
    """Add what cuts images into tiles: ``tile``, 0 for auto, or None; ``overlap``, or None."""
    parser.add_argument(
        "--tile",
        type=lambda text: 0 if text == "auto" else whole(32)(text),
        metavar="PIXELS",
        help="look at images by square tiles of this side; auto: as large as the training crops",
    )
    parser.add_argument(
        "--overlap",
        type=whole(0),
        metavar="PIXELS",
        help="what neighbouring tiles share, best as much as an object; default: 15%% of a tile",
    )


def _bands(text: str) -> tuple[int, ...]:
    numbers = text.split(",")
    if len(numbers) not in (1, 3) or not all(n.isdecimal() and int(n) > 0 for n in numbers):
        raise argparse.ArgumentTypeError(f"{text!r} is neither one band nor three, such as 4,3,2")
    return tuple(map(int, numbers))


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add what shows tracebacks."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")


def whole(at_least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number of a size."""

    def read(text: str) -> int:
        if not text.lstrip("-+").isdecimal() or int(text) < at_least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number, {at_least} or more")
        return int(text)

    return read


def share(text: str) -> float:
    """The type of an argument that is a probability or another share of one."""
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return number


def _end(error: BaseException) -> None:
    """Say what went wrong and exit with status 1."""
    debug = _show_traceback()
    if not _is_echo(error):
        rank = os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))
        who = "error" if rank == "0" else f"error (rank {rank})"
        print(f"{who}: {describe(error)}", file=sys.stderr)
        if not is_expected(error) and not debug:
            log = _log_traceback()
            print(f"the traceback: {log or 'the same command with --debug'}", file=sys.stderr)
    sys.exit(1)


def _is_echo(error: BaseException) -> bool:
    """Whether another process of this machine says the same.

    Until they have met, all processes of a machine read the same files.
    """
    local = os.environ.get("LOCAL_RANK", os.environ.get("SLURM_LOCALID", "0"))
    if local == "0" or not is_expected(error):
        return False
    distributed = sys.modules.get("torch.distributed")
    return not (distributed and distributed.is_available() and distributed.is_initialized())


def _show_traceback() -> bool:
    debug = "--debug" in sys.argv[1:]
    if debug:
        traceback.print_exc()
    return debug


def _log_traceback() -> str:
    """Write the traceback into the log file of the run, if there is one; returns its path."""
    module = sys.modules.get("mmengine.logging")
    if module is None:
        return ""
    for handler in module.MMLogger.get_current_instance().handlers:
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            handler.stream.write(traceback.format_exc())
            handler.flush()
            return handler.baseFilename
    return ""
