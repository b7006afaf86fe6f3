"""`srun` and `scontrol` of a cluster of one node, for tests: processes, and Slurm's variables.

Put on the PATH under these two names, as executables that run this file.
"""

import os
import subprocess
import sys
import time


def srun(arguments: list[str]) -> int:
    """Start the command after the options once a task; a task that fails ends the others.

    Of tasks that only fail, FAKE_TASKS are enough.
    """
    options = {}
    while arguments[0].startswith("-"):
        name, _, value = arguments.pop(0).partition("=")
        options[name] = value
    tasks = int(options["--ntasks"])
    print("srun", options, flush=True)
    processes = []
    for rank in range(int(os.environ.get("FAKE_TASKS", tasks))):
        slurm = {"PROCID": rank, "LOCALID": rank, "NTASKS": tasks, "NODELIST": "node[1-1]"}
        environment = {f"SLURM_{name}": str(value) for name, value in slurm.items()}
        processes.append(subprocess.Popen(arguments, env=os.environ | environment))
    status = 0
    while any(process.poll() is None for process in processes):
        status = status or next((abs(p.returncode) for p in processes if p.returncode), 0)
        if status and "--kill-on-bad-exit" in options:
            for process in processes:
                process.kill()
        time.sleep(0.1)
    return status or next((abs(p.returncode) for p in processes if p.returncode), 0)


def scontrol(arguments: list[str]) -> int:
    """Name the hosts of the node list."""
    assert arguments == ["show", "hostnames", "node[1-1]"]
    print("127.0.0.1")
    return 0


if __name__ == "__main__":
    _, name, *rest = sys.argv
    sys.exit({"srun": srun, "scontrol": scontrol}[name](rest))
