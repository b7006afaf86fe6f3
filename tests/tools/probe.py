"""A hook by which the tests look into a training process, or end it."""

import datetime
import enum
import os
import pathlib
import signal
import time

import numpy as np
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class Probe(Hook):
    """Write each loss of this process in full; die as by ``kill -9`` where PROBE_KILL_AT says.

    Of several processes the last dies, and only before they have been restarted. It also sends
    itself the signal PROBE_SIGNAL, ``TERM@5`` in the sixth iteration, ``TERM@val`` in the first
    validation, and sleeps for ever where PROBE_SLEEP_AT says.
    """

    priority = "LOWEST"

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        restarted = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
        here = os.environ.get("PROBE_KILL_AT") == str(runner.iter)
        if here and not restarted and is_last():
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ.get("PROBE_SLEEP_AT") == str(runner.iter) and is_last():
            time.sleep(3600)
        send_where(str(runner.iter))

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        send_where("val")

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


def is_last():
    return get_rank() == get_world_size() - 1


def send_where(place):
    name, _, where = os.environ.get("PROBE_SIGNAL", "").partition("@")
    if where == place and is_last():
        os.kill(os.getpid(), getattr(signal, f"SIG{name}"))
