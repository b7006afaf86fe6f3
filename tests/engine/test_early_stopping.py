"""Training ends after validations without a gain, by the task's metric, also when resumed."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub

from convnextv2.engine.early_stopping import EarlyStoppingHook

REPO = Path(__file__).resolve().parents[2]


def run(hook, values, hub=None, name="mIoU", config="segmentation/*nuclei.py"):
    """Validate until it stops; returns the number of validations, and the hub."""
    (path,) = (REPO / "configs").glob(config)
    hub = hub or MessageHub("early stopping")
    loop = SimpleNamespace(stop_training=False)
    runner = SimpleNamespace(
        cfg=Config.fromfile(path),
        message_hub=hub,
        train_loop=loop,
        logger=logging.getLogger("stop"),
    )
    for number, value in enumerate(values, 1):
        hook.after_val_epoch(runner, {"aAcc": float(number), name: value})
        if loop.stop_training:
            return number, hub
    return None, hub


def test_it_stops_when_the_tasks_metric_does_not_rise():
    """aAcc comes first among the metrics, and rises all the time."""
    assert run(EarlyStoppingHook(2), [10, 20, 15, 20, 30])[0] == 4
    assert run(EarlyStoppingHook(3), [10, 20, 15, 20, 30])[0] is None
    assert run(EarlyStoppingHook(2, min_delta=5), [10, 20, 21, 22])[0] == 4


def test_a_loss_is_better_when_it_falls_and_nothing_is_gained_by_no_number():
    hook = EarlyStoppingHook(2, monitor="loss")
    assert run(hook, [3, 2, 1, 2, 3], name="loss")[0] == 5
    assert run(EarlyStoppingHook(2), [float("nan")] * 3)[0] == 2


def test_a_resumed_run_counts_on():
    _, hub = run(EarlyStoppingHook(3), [10, 9])
    assert run(EarlyStoppingHook(3), [9, 9, 9], hub)[0] == 2


def test_without_patience_it_never_stops():
    assert run(EarlyStoppingHook(None), [1] * 50)[0] is None


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="rule must be greater or less"):
        EarlyStoppingHook(rule="more")
    with pytest.raises(ValueError, match="monitor mAP: not among aAcc, mIoU"):
        run(EarlyStoppingHook(2, monitor="mAP"), [1])
