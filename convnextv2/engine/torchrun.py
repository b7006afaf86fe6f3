"""torchrun with Slurm's signal, time for a checkpoint, and the shell's code for signals.

``python -m convnextv2.engine.torchrun`` takes the arguments of torchrun.
"""

import os
import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException

# Seconds from a signal until the processes are killed: a step, and a checkpoint of Huge.
GRACE = 120


def main() -> None:
    """Command line entry."""
    options = {
        "--signals-to-handle": "SIGTERM,SIGINT,SIGUSR1,SIGHUP,SIGQUIT",
        "--shutdown-timeout": GRACE,
    }
    # torch 2.5 to 2.7 know neither: there SIGUSR1 ends a job without a checkpoint.
    known = run.get_args_parser()._option_string_actions
    given = [f"{name}={value}" for name, value in options.items() if name in known]
    os.environ["CONVNEXTV2_LAUNCHER_PID"] = str(os.getpid())
    try:
        run.main([*given, *sys.argv[1:]])
    except SignalException as error:
        sys.exit(128 + error.sigval)


if __name__ == "__main__":
    main()
