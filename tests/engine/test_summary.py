"""The console begins with what matters, and the file has everything."""

import io
import logging
from contextlib import suppress

import pytest
from mmengine.logging import MMLogger

from convnextv2.engine.summary import PrintsToLog, begin_briefly, end_brevity

LONG = "Config:\n" + "x = 1\n" * 540


@pytest.fixture
def log(tmp_path):
    """A logger of mmengine's, what its console shows, and its file."""
    logger = MMLogger(f"log{tmp_path}", log_file=str(tmp_path / "a.log"))
    (console,) = (h for h in logger.handlers if not isinstance(h, logging.FileHandler))
    console.stream = io.StringIO()
    return logger, console.stream, tmp_path / "a.log"


def test_long_records_are_in_the_file_alone_until_the_summary(log):
    logger, console, file = log
    begin_briefly(logger)
    logger.info(LONG)
    logger.info("learning rate 1 -> 2")
    logger.warning("unexpected:\n" + "a\n" * 10)
    end_brevity(logger)
    assert console.getvalue().count("\n") == 1 + 12
    logger.info("a table:\n" + "row\n" * 20)
    assert console.getvalue().count("row") == 20
    assert file.read_text().count("x = 1") == 540


def test_what_libraries_print_is_in_the_file_alone(log, capsys):
    logger, console, file = log
    with PrintsToLog(logger):
        print("loading annotations into memory...")
    with suppress(KeyError), PrintsToLog(logger):
        print("before the error")
        raise KeyError
    assert console.getvalue() == capsys.readouterr().out == ""
    assert "loading annotations" in file.read_text()
    assert "before the error" in file.read_text()
