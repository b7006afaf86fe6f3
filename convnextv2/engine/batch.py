"""``train.py --batch``: a number of images, or the largest number that fits the device."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from convnextv2.engine.errors import InputError
from convnextv2.engine.memory import describe_saving

if TYPE_CHECKING:
    from mmengine.config import Config

# Of the free memory of a machine without a GPU: the rest is for loading, validation and others.
SHARE = 0.7
GIB = 2**30


def set_batch(cfg: "Config", wanted: str) -> None:
    """Set the batch of each process.

    The learning rate follows where the config's ``auto_scale_lr`` is enabled.

    Args:
        cfg: Of a training, already fit for a machine without GPU if it is one.
        wanted: A number, or ``auto``; a resumed run keeps what was found when it began.

    Raises:
        InputError: No batch fits, or it cannot be found out here.
    """
    from mmengine.logging import print_log

    before = cfg.train_dataloader.get("batch_size")
    kept = kept_batch(cfg) if wanted == "auto" and cfg.get("resume") else None
    batch = kept or (find_batch(cfg) if wanted == "auto" else int(wanted))
    cfg.train_dataloader["batch_size"] = batch
    scale = cfg.get("auto_scale_lr") or {}
    follows = "follows" if scale.get("enable") else "stays: auto_scale_lr is not enabled"
    print_log(f"batch {batch} instead of {before}; the learning rate {follows}", logger="current")


def kept_batch(cfg: "Config") -> int | None:
    """The batch of an earlier run in the work dir; None if there was none."""
    from mmengine.config import Config

    path = Path(cfg.work_dir, "config.py")
    return Config.fromfile(path).train_dataloader.get("batch_size") if path.is_file() else None


def find_batch(cfg: "Config") -> int:
    """The largest batch that every process can train with, found by steps in another process.

    Raises:
        InputError: Not even one image fits, or it cannot be found out here.
    """
    import torch
    from mmengine.logging import print_log

    if "strategy" in cfg:
        raise InputError("--batch auto knows no strategy: give a number")
    if torch.cuda.is_available():
        trials, _ = run_trials(cfg)
        batch = max((n for n, peak in trials.items() if peak), default=0)
        too_large = [n for n, peak in trials.items() if not peak]
        text = f"{(trials.get(batch) or 0) / GIB:.1f} GiB at its peak"
        text += f"; {min(too_large)} did not fit" if too_large else ""
    else:
        free = free_memory() // local_processes()
        trials, images = run_trials(cfg)
        peaks = {n: peak for n, peak in trials.items() if peak}
        batch = extrapolate(peaks, int(SHARE * free), images)
        text = f"by what {sorted(trials)} images needed: {SHARE:.0%} of {free / GIB:.1f} GiB free"
    batch = agree(cfg, batch)
    if batch < 1:
        raise InputError(f"--batch auto: not even one image fits.\n{describe_saving(cfg)}")
    print_log(f"--batch auto: {batch} images a process fit ({text})", logger="current")
    return batch


def run_trials(cfg: "Config") -> tuple[dict[int, int | None], int]:
    """Let another process try batches, see `convnextv2.engine.batch_trials`.

    Returns:
        Batch -> bytes at its peak, None of one that did not fit; and the number of images.

    Raises:
        InputError: It found out nothing, for another reason than memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.py")
        cfg.dump(config)
        command = [sys.executable, "-m", "convnextv2.engine.batch_trials", str(config)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"batch"')]
    trials = {entry["batch"]: entry["peak"] for entry in found}
    if not trials and done.returncode > 0:  # killed for its memory it would be less
        reason = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
        raise InputError(f"--batch auto: the first step failed: {reason}")
    return trials, max((entry["images"] for entry in found), default=0)


def extrapolate(peaks: dict[int, int], limit: int, most: int) -> int:
    """The largest batch whose peak, on a line through what was measured, is below a limit.

    Args:
        peaks: Batch -> bytes.
        limit: Bytes.
        most: No larger than this.

    Returns:
        The batch; 0 if none fits.
    """
    sizes = sorted(n for n, peak in peaks.items() if peak <= limit)
    if not sizes:
        return 0
    last = sizes[-1]
    slopes = [(peaks[last] - peaks[n]) / (last - n) for n in sizes[:-1]]
    if not slopes or len(sizes) < len(peaks):
        return min(last, most)
    # Small batches hide behind what the libraries take at first.
    slope = max(*slopes, 2**20)
    return min(last + int((limit - peaks[last]) / slope), most)


def free_memory() -> int:
    """Bytes that may still be used, by the machine and the limits of control groups.

    Raises:
        InputError: The system does not say.
    """
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError as error:
        raise InputError("--batch auto needs a GPU or Linux: give a number") from error
    entries = dict(line.split(":") for line in lines)
    free = int(entries["MemAvailable"].split()[0]) * 1024
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            texts = [Path("/sys/fs/cgroup", name).read_text().strip() for name in (limit, used)]
        except OSError:
            continue
        if texts[0] != "max":
            free = min(free, int(texts[0]) - int(texts[1]))
    return free


def local_processes() -> int:
    """Processes of this run on this machine."""
    for name in ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE", "OMPI_COMM_WORLD_LOCAL_SIZE"):
        if os.environ.get(name, "").isdecimal():
            return int(os.environ[name])
    return 1


def agree(cfg: "Config", batch: int) -> int:
    """The smallest batch of all processes, which join the group here if they have not yet."""
    from mmengine.dist import all_gather_object, init_dist, is_distributed
    from mmengine.utils.dl_utils import set_multi_processing

    if cfg.launcher == "none":
        return batch
    if not is_distributed():  # as the runner would
        set_multi_processing(**cfg.env_cfg.get("mp_cfg", {}), distributed=True)
        init_dist(cfg.launcher, **cfg.env_cfg.get("dist_cfg", {}))
    return min(all_gather_object(batch))
