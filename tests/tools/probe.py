"""A hook by which the tests look into a training process, or end it."""

import datetime
import enum
import os
import pathlib
import signal

import numpy as np
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class Probe(Hook):
    """Write each loss of this process in full; die as by ``kill -9`` where PROBE_KILL_AT says.

    Of several processes the last dies, and only before they have been restarted.
    """

    priority = "LOWEST"

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        here = os.environ.get("PROBE_KILL_AT") == str(runner.iter)
        if here and not restarted and get_rank() == get_world_size() - 1:
            os.kill(os.getpid(), signal.SIGKILL)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        with open(f"{runner.work_dir}/losses_{get_rank()}.txt", "a") as file:
            print(repr(outputs["loss"].item()), file=file)


class Phase(enum.IntEnum):
    LATE = 2


@HOOKS.register_module()
class LeaveEntries(Hook):
    """Leave in the message hub, and so in checkpoints, what hooks of other people do."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        entries = {
            "best": np.float32(0.5),
            "counts": np.arange(3),
            "phase": Phase.LATE,
            "folder": pathlib.Path(runner.work_dir),
            "began": datetime.datetime(2020, 1, 2),
            "threshold": {"a": [np.int16(3)]},
            "logger": runner.logger,
        }
        runner.message_hub.update_info_dict(entries)
