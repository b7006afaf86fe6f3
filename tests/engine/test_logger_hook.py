"""Of several processes one writes the scores of a test; short runs do not log each image."""

from types import SimpleNamespace

import pytest
from mmengine.hooks import LoggerHook as MMEngineLoggerHook

from convnextv2.engine import logger_hook
from convnextv2.engine.logger_hook import LoggerHook


@pytest.mark.parametrize("first", [True, False])
def test_only_the_first_process_writes_scores(monkeypatch, first):
    written = []
    monkeypatch.setattr(logger_hook, "is_main_process", lambda: first)
    monkeypatch.setattr(
        MMEngineLoggerHook,
        "after_test_epoch",
        lambda self, runner, metrics: written.append(metrics),
    )
    LoggerHook().after_test_epoch(SimpleNamespace(), {"mIoU": 1.0})
    assert written == ([{"mIoU": 1.0}] if first else [])


@pytest.mark.parametrize("part", ["val", "test"])
@pytest.mark.parametrize(
    ("interval", "batches", "expected"),
    [
        (1, 3, [1, 2, 3]),
        (1, 21, [*range(2, 21, 2)]),
        (7, 1000, [*range(56, 1001, 56)]),
        (50, 1000, [*range(50, 1001, 50)]),
        (50, 20, []),
    ],
)
def test_a_validation_has_twenty_lines_at_most(part, interval, batches, expected):
    logged, lines = [], []
    runner = SimpleNamespace(
        **{f"{part}_dataloader": range(batches)},
        log_processor=SimpleNamespace(
            get_log_after_iter=lambda runner, batch, mode: logged.append(batch + 1) or ({}, mode)
        ),
        logger=SimpleNamespace(info=lines.append),
    )
    hook = LoggerHook(interval=interval)
    for batch in range(batches):
        getattr(hook, f"after_{part}_iter")(runner, batch)
    assert logged == expected
    assert lines == [part] * len(expected)
