"""Of several processes one writes the scores of a test."""

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
