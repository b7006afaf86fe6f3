"""`infer.py` keeps what it has found, however it is stopped."""

import json
import os
import signal

import numpy as np
import pytest

from convnextv2.results import Prediction, ResultsFile, ResultsWriter
from convnextv2.tools import infer

IMAGES = {name: name for name in ("a", "b", "c")}


class Objects(ResultsWriter):
    """In each image one object is found."""

    def __init__(self, folder):
        self.file = ResultsFile(folder / "results.json")

    def add(self, prediction, number, name):
        self.file.add([{"image_id": number, "file_name": name}])

    def __exit__(self, *error):
        self.file.__exit__(*error)


class Task:
    def open_results(self, predictor, folder, score_thr):
        return Objects(folder)

    def draw_found(self, picture, sample, palette, names, score_thr):
        return picture


class StoppedAtTheThird:
    """A predictor to which something happens."""

    task, palette, classes = Task(), [], []

    def __init__(self, stop):
        self.stop = stop

    def __call__(self, names, batch_size, unreadable, ahead):
        for number, name in enumerate(names):
            if number == 2:
                self.stop()
            yield Prediction(name, np.zeros((4, 4, 3), np.uint8), None)


def test_error_at_an_image_keeps_those_before_it(tmp_path):
    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        infer.infer(StoppedAtTheThird(fail), IMAGES, tmp_path, 0.3, 1)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [entry["file_name"] for entry in found] == ["a", "b"]
    assert [entry["image_id"] for entry in found] == [1, 2]


def test_killed_process_leaves_a_readable_file(tmp_path):
    child = os.fork()
    if not child:
        stop = StoppedAtTheThird(lambda: os.kill(os.getpid(), signal.SIGKILL))
        infer.infer(stop, IMAGES, tmp_path, 0.3, 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["file_name"] for line in lines] == ["a", "b"]
    assert not (tmp_path / "results.json").exists()
