"""`infer.py` keeps what it has found, however it is stopped."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from convnextv2.predictor import Prediction
from convnextv2.tools import infer


@pytest.fixture
def images():
    return {name: name for name in ("a", "b", "c")}


class Stopped:
    """A predictor that finds one object in each image, and to which something happens at one."""

    model, classes, palette = nn.Identity(), ["box"], [(255, 0, 0)]
    trained_meta, dataset, label_offset = {"category_ids": [7]}, None, 0

    def __init__(self, stop):
        self.stop = stop

    def __call__(self, names, batch_size, unreadable):
        found = InstanceData(
            bboxes=torch.tensor([[1.0, 2.0, 4.0, 6.0]]),
            scores=torch.tensor([0.9]),
            labels=torch.tensor([0]),
        )
        for number, name in enumerate(names):
            if number == 2:
                self.stop()
            sample = BaseDataElement()
            sample.set_field(found, "pred_instances", dtype=InstanceData)
            yield Prediction(name, np.zeros((8, 8, 3), np.uint8), sample)


def test_error_at_an_image_keeps_those_before_it(images, tmp_path):
    def fail():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        infer.infer(Stopped(fail), images, tmp_path, 0.3, 1)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [entry["file_name"] for entry in found] == ["a", "b"]
    assert [entry["image_id"] for entry in found] == [1, 2]
    assert [entry["category_id"] for entry in found] == [7, 7]


def test_killed_process_leaves_a_readable_file(images, tmp_path):
    child = os.fork()
    if not child:
        stop = Stopped(lambda: os.kill(os.getpid(), signal.SIGKILL))
        infer.infer(stop, images, tmp_path, 0.3, 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["file_name"] for line in lines] == ["a", "b"]
    assert not (tmp_path / "results.json").exists()
