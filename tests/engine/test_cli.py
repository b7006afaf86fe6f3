"""How a command ends: a sentence, an exit status, and a traceback for those who ask."""

import json
import sys

import pytest

from convnextv2.engine import cli
from convnextv2.engine.errors import InputError, describe
from convnextv2.results import ResultsFile


def end(main, monkeypatch, *arguments, **environment):
    """The exit status of a command."""
    monkeypatch.setattr("sys.argv", ["command", *arguments])
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as caught:
        cli.run(main)
    return caught.value.code


def raising(error):
    def main():
        raise error

    return main


@pytest.mark.parametrize(
    "error", [InputError("no x"), SystemExit("no x"), ValueError("no x"), OSError("no x")]
)
def test_expected_error_is_a_sentence(monkeypatch, capsys, error):
    if isinstance(error, (ValueError, OSError)) and not isinstance(error, InputError):
        monkeypatch.setattr("convnextv2.engine.errors._is_ours", lambda error: True)
    assert end(raising(error), monkeypatch) == 1
    assert capsys.readouterr().err == "error: no x\n"


def test_unexpected_error_says_its_kind_and_where_it_is_from(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "mmengine.logging", raising=False)  # another test's log file
    assert end(lambda: {}["x"], monkeypatch) == 1
    message = capsys.readouterr().err
    assert message.startswith("error: KeyError: x (raised in tests/engine/test_cli.py)\n")
    assert "--debug" in message
    assert "Traceback" not in message


def test_debug_shows_the_traceback(monkeypatch, capsys):
    assert end(raising(InputError("no x")), monkeypatch, "--debug") == 1
    message = capsys.readouterr().err
    assert message.startswith("Traceback")
    assert message.endswith("error: no x\n")


def test_exit_statuses(monkeypatch, capsys):
    assert end(lambda: None, monkeypatch) == 0
    assert end(raising(SystemExit(3)), monkeypatch) == 3
    assert end(raising(KeyboardInterrupt()), monkeypatch) == 130
    assert "Traceback" not in capsys.readouterr().err
    parser = cli.make_parser("It works.", "command")
    assert end(lambda: parser.parse_args(["x"]), monkeypatch) == 2


def test_one_process_of_a_machine_says_what_all_of_them_see(monkeypatch, capsys):
    main = raising(InputError("no x"))
    assert end(main, monkeypatch, RANK="1", LOCAL_RANK="1") == 1
    assert capsys.readouterr().err == ""
    assert end(lambda: {}["x"], monkeypatch, RANK="1", LOCAL_RANK="1") == 1
    assert capsys.readouterr().err.startswith("error (rank 1): KeyError: x")


def test_message_of_a_worker_is_its_last_line():
    text = (
        "Caught it\nOriginal Traceback (most recent call last):\n  File x\nValueError: bad image\n"
    )
    assert "bad image" in describe(KeyError(text))
    assert "Traceback" not in describe(KeyError(text))


def test_error_without_words_shows_its_line():
    def compare():
        raise AssertionError

    with pytest.raises(AssertionError) as caught:
        compare()
    assert describe(caught.value).startswith("AssertionError: raise AssertionError (raised in")


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", ""])
def test_count_is_refused(text):
    with pytest.raises(cli.argparse.ArgumentTypeError, match="1 or more"):
        cli.whole(1)(text)


def test_results_are_on_the_disk_as_they_come(tmp_path):
    path = tmp_path / "results.json"
    with ResultsFile(path) as results:
        results.add([{"a": 1}, {"a": 2}])
        results.add([])
        lines = (tmp_path / "results.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == [{"a": 1}, {"a": 2}]
        assert not path.exists()
    assert json.loads(path.read_text()) == [{"a": 1}, {"a": 2}]
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.json"]


def fail_after_two(results):
    with results:
        results.add([{"a": 1}])
        results.add([{"a": 2}])
        raise OSError("the third")


def test_error_keeps_the_results_before_it(tmp_path):
    with pytest.raises(OSError, match="the third"):
        fail_after_two(ResultsFile(tmp_path / "results.json"))
    assert json.loads((tmp_path / "results.json").read_text()) == [{"a": 1}, {"a": 2}]


def test_results_of_nothing(tmp_path):
    with ResultsFile(tmp_path / "results.json") as results:
        pass
    assert results.count is None
    assert not list(tmp_path.iterdir())
    with ResultsFile(tmp_path / "results.json") as results:
        results.add([])
    assert json.loads((tmp_path / "results.json").read_text()) == []
