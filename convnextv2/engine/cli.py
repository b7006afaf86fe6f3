"""The command line that MM's users know.

Nothing heavy is imported at the top, so that `--help` answers at once; mim asks for it first.
"""

import argparse


def make_parser(description: str, example: str) -> argparse.ArgumentParser:
    """A parser with the arguments that MM's training and test commands have in common."""
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("config", help="path of the config")
    parser.add_argument("--work-dir", help="default: work_dirs/NAME_OF_THE_CONFIG")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        metavar="KEY=VALUE",
        help='override config entries, such as model.backbone.arch=base or a="[(1,2),(3,4)]"',
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    # torch.distributed.launch, which mim uses, passes the second spelling.
    parser.add_argument("--local_rank", "--local-rank", type=int, default=0, help=argparse.SUPPRESS)
    return parser
