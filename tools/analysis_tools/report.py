"""Draw what a training has logged, across all its stops and resumes: losses, metrics, rates.

A training writes its report by itself when it ends or is stopped by a signal, with confusion
matrices and the worst images; this is for one that was killed, or that is still running.
"""

from pathlib import Path

from convnextv2.engine.cli import make_parser, run
from convnextv2.engine.errors import InputError
from convnextv2.engine.outputs import check_folder


def main() -> None:
    """Command line entry."""
    parser = make_parser(__doc__, "python tools/analysis_tools/report.py work_dirs/NAME")
    parser.add_argument("work_dir", help="of the training")
    parser.add_argument("--out", metavar="DIR", help="folder to write to; default: WORK_DIR/report")
    args = parser.parse_args()
    work_dir = Path(args.work_dir)
    if not work_dir.is_dir():
        raise InputError(f"{work_dir} is no folder")
    config = work_dir / "config.py"
    if not config.is_file():
        raise InputError(f"{config} does not exist: {work_dir} is no work dir of a training")
    folder = Path(args.out or work_dir / "report")
    check_folder(folder, "--out")

    from convnextv2.engine.config import read_config
    from convnextv2.engine.tasks import find_task
    from convnextv2.report import write_curves

    pictures = write_curves(find_task(read_config(str(config))), work_dir, folder)
    if not pictures:
        raise InputError(f"nothing has been logged in {work_dir} yet")
    print(f"{folder}: curves.csv, {', '.join(pictures)}")


if __name__ == "__main__":
    run(main)
