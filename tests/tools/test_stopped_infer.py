"""`infer.py` keeps what it has found, however it is stopped."""

import json
import os
import signal
from types import SimpleNamespace

import pytest

from convnextv2.tools import infer


@pytest.fixture
def images(monkeypatch, tmp_path):
    """Three images, in each of which one object is found."""

    def find(predictor, prediction, name, out, score_thr):
        return [{"file_name": name}]

    monkeypatch.setattr(infer, "write_objects", find)
    return {name: name for name in ("a", "b", "c")}


def stopped_at_the_third(stop):
    """A predictor to which something happens."""

    def predict(names, batch_size, unreadable):
        for number, name in enumerate(names):
            if number == 2:
                stop()
            yield SimpleNamespace(source=name, sample={})

    return predict


def test_error_at_an_image_keeps_those_before_it(images, tmp_path):
    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        infer.infer(stopped_at_the_third(fail), images, tmp_path, 0.3, 1)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [entry["file_name"] for entry in found] == ["a", "b"]
    assert [entry["image_id"] for entry in found] == [1, 2]


def test_killed_process_leaves_a_readable_file(images, tmp_path):
    child = os.fork()
    if not child:
        stop = stopped_at_the_third(lambda: os.kill(os.getpid(), signal.SIGKILL))
        infer.infer(stop, images, tmp_path, 0.3, 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["file_name"] for line in lines] == ["a", "b"]
    assert not (tmp_path / "results.json").exists()
